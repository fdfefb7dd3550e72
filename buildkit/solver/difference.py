"""All that is different between two key documents, field by field and file by file.

In: the documents of then and of now, and the per-file manifests of what they selected. Out: one
`Difference` a field or file. `solver/explain.py` says the same in the user's words, and shorter.
Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from buildkit.cache import manifest
from buildkit.solver.explain import Manifests
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Difference(NamedTuple):
    """What stands at `place` in the document (`op.env.VERSION`), None where it is not there.

    Of a file that was selected, the place is `inputs[1]: src/a.py`.
    """

    place: str
    old: str | None
    new: str | None


def differences(
    old: str, new: str, manifests: Manifests = lambda _: None
) -> tuple[Difference, ...]:
    """Return what differs; documents that cannot be read differ as a whole."""
    if old == new:
        return ()
    try:
        before, after = _flat(json.loads(old)), _flat(json.loads(new))
    except (ValueError, TypeError):
        return (Difference("", old, new),)
    found: list[Difference] = []
    for place in sorted({*before, *after}):
        was, now = before.get(place), after.get(place)
        if was != now:
            found.append(Difference(place, was, now))
            if place.startswith("inputs["):
                found += _files(place, was, now, manifests)
    return tuple(found)


def _flat(document: object) -> dict[str, str]:
    return dict(_leaves("", document))


def _leaves(place: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield place and text of each leaf; an environment goes by its names."""
    if place == "op.env" and isinstance(value, list):
        value = {str(name): text for name, text in value}
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{place}.{name}" if place else str(name), inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(f"{place}[{number}]", inner)
    else:
        yield place, value if isinstance(value, str) else json.dumps(value)


def _files(
    place: str, was: str | None, now: str | None, manifests: Manifests
) -> Iterator[Difference]:
    """Yield the files that differ between two selections, where both are known."""
    before, after = manifests(was or ""), manifests(now or "")
    if before is None or after is None:
        return
    states: Mapping[str, tuple[manifest.FileState | None, manifest.FileState | None]]
    states = manifest.differences(before, after)
    for path, (one, other) in states.items():
        yield Difference(f"{place}: {path}", _state(one), _state(other))


def _state(state: manifest.FileState | None) -> str | None:
    """Return all of a file that is in its key, on one line."""
    if state is None:
        return None
    owner = f"{state.uid}:{state.gid}"
    more = f" {state.xattrs}" if state.xattrs else ""
    return f"{state.kind} {state.mode:04o} {owner} {state.content}{more}".rstrip()
