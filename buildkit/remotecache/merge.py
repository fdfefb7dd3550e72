"""What becomes of a cache when another build writes to it. Pure.

In: what a build has, what lies there already. Out: one document with both. What others wrote stays
as long as some build has used it within `KEPT_DAYS`, the newest first, and as far as there is room;
so caches that many write to lose nothing and do not grow for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.remotecache.backend import Loaded
from buildkit.remotecache.document import CacheDocument, SharedMount, SharedStep
from runtime.values import NamedTuple

KEPT_DAYS = 30
MAX_LAYERS = 1000
MAX_DOCUMENTS = 4 << 20
"""Bytes of key documents: a registry's config blobs are read up to 8 MiB."""


class Own(NamedTuple):
    """What this build has to give, with the blobs of its layers."""

    steps: tuple[SharedStep, ...]
    mounts: tuple[SharedMount, ...]
    layers: Mapping[Digest, Descriptor]


class Merged(NamedTuple):
    """A document, and the blobs of its layers."""

    document: CacheDocument
    layers: dict[Digest, Descriptor]


def merge(own: Own, there: Loaded | None, today: str, *, reset: bool = False) -> Merged | None:
    """Return what is to be there; None when that is there already. `reset`: nothing of others."""
    steps = {(step.key, step.diff_id): step for step in own.steps}
    mounts = {mount.name: mount for mount in own.mounts}
    layers = dict(own.layers)
    if there is not None and not reset:
        since = _days_before(today)
        room = _Room(steps.values())
        for step in sorted(there.document.steps, key=_newest):
            wanted = step.used >= since and step.diff_id in there.layers
            if wanted and (step.key, step.diff_id) not in steps and room.takes(step):
                steps[step.key, step.diff_id] = step
        for mount in there.document.mounts:
            if mount.used >= since and mount.diff_id in there.layers:
                mounts.setdefault(mount.name, mount)
        layers = {**there.layers, **layers}
    document = CacheDocument.of(tuple(steps.values()), tuple(mounts.values()))
    layers = {diff_id: layers[diff_id] for diff_id in document.layers}
    if there is not None and (document, layers) == (there.document, there.layers):
        return None
    return Merged(document, layers)


class _Room:
    """Counts what a cache may hold."""

    def __init__(self, steps: Iterable[SharedStep]) -> None:
        self._layers: set[Digest] = set()
        self._bytes = 0
        for step in steps:
            self._add(step)

    def takes(self, step: SharedStep) -> bool:
        """Say whether there is room for `step`, and count it if so."""
        layers = len(self._layers | {step.diff_id})
        if layers > MAX_LAYERS or self._bytes + len(step.document) > MAX_DOCUMENTS:
            return False
        self._add(step)
        return True

    def _add(self, step: SharedStep) -> None:
        self._layers.add(step.diff_id)
        self._bytes += len(step.document)


def _newest(step: SharedStep) -> tuple[int, str, str]:
    """Sort the last used first."""
    day = step.used.replace("-", "")
    return -int(day or "0"), step.key, step.diff_id


def _days_before(today: str) -> str:
    """Return the first day whose use counts."""
    return (date.fromisoformat(today) - timedelta(days=KEPT_DAYS)).isoformat()
