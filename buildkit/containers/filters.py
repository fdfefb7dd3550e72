"""Which containers `ps --filter` shows.

In: texts `KEY=VALUE`. Out: filters, and whether a container matches all of them. Of filters with
one key any suffices, but for labels. Source: the reference of docker ps, "Filtering".
"""

from __future__ import annotations

from buildkit.errors import UsageError
from buildkit.oci.reference import Reference
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.containers.store import Container
    from runtime.container import State


_KEYS = ("id", "name", "label", "status", "exited", "ancestor", "health", "volume", "network")


class Filter(NamedTuple):
    """One filter."""

    key: str
    value: str


def parse_filters(texts: Sequence[str]) -> tuple[Filter, ...]:
    """Parse filters. Raises UsageError for unknown keys."""
    filters = []
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in _KEYS or not equals:
            raise UsageError(f"unknown filter {text!r}", hint=f"known are {', '.join(_KEYS)}")
        filters.append(Filter(key, value))
    return tuple(filters)


def matches(one: Container, state: State, filters: Sequence[Filter]) -> bool:
    """Say whether a container matches."""
    by_key: dict[str, list[bool]] = {}
    for wanted in filters:
        key = f"label {wanted.value}" if wanted.key == "label" else wanted.key
        by_key.setdefault(key, []).append(_matches(one, state, wanted))
    return all(any(results) for results in by_key.values())


def _matches(one: Container, state: State, wanted: Filter) -> bool:
    record, value = one.record, wanted.value
    match wanted.key:
        case "id":
            return record.identity.startswith(value)
        case "name":
            return value.removeprefix("/") in record.name
        case "label":
            key, equals, text = value.partition("=")
            labels = dict(record.labels)
            return labels.get(key) == text if equals else key in labels
        case "status":
            return state.status == value
        case "exited":
            return state.status == "exited" and str(state.code) == value
        case "health":
            return (state.health or "none") == value
        case "volume":
            named = {volume.name for volume in record.volumes}
            return value in named or any(value in (m.source, m.target) for m in record.mounts)
        case "ancestor":
            return _is_of(record.image, record.config, value)
        case _:
            return value in ("default", "bridge") and bool(state.address)


def _is_of(image: str, config: str, value: str) -> bool:
    if config.removeprefix("sha256:").startswith(value.removeprefix("sha256:")):
        return True
    try:
        return str(Reference.parse(value)) == image
    except ValueError:  # what is no name is no ancestor
        return False
