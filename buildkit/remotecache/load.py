"""Shared caches as a build sees them: read in when they are first needed, layers even later.

In: places of caches. Out: `Shared`, which has the stores that ops and solver use in place of the
local ones. Nothing is asked of anybody as long as the local store has all. A cache that cannot be
read is warned of and left out: a build without it is slower and not wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from buildkit.cache.key import CacheKey
from buildkit.cache.local import LocalCacheStore
from buildkit.errors import BuildError, Cancelled, StoreError
from buildkit.exporter.workers import in_parallel
from buildkit.llb.graph import Target
from buildkit.llb.op import CacheMount
from buildkit.oci.config import ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.ops.stores import Stores
from buildkit.progress.cancel import Cancel
from buildkit.progress.deadline import deadline
from buildkit.progress.events import Emit, Note, Warned
from buildkit.remotecache.attributes import CachePlace
from buildkit.remotecache.backend import CacheReader, Loaded
from buildkit.remotecache.document import SharedMount, SharedStep
from buildkit.remotecache.layers import AT_ONCE, SharedLayers
from buildkit.remotecache.mounts import BusyMountError, unpack_mount, wants_content
from buildkit.remotecache.places import reader_of
from buildkit.remotecache.store import SharedCacheStore
from buildkit.snapshot.layer import meant_times
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.solve import Result
from buildkit.state.root import StateRoot

if TYPE_CHECKING:
    from buildkit.remotecache.bases import Bases

Attempt: TypeAlias = Callable[[Stores, Cancel], Result]
"""Solves a graph with the given stores, heeding a `Cancel` of its own."""

_SECOND = 1_000_000_000
_FOR_EVER = 1e6
"""Seconds, eleven days."""


class Shared:
    """The caches of one build. Any thread may use it. Made by `sharing`."""

    def __init__(
        self,
        places: Sequence[CachePlace],
        root: StateRoot,
        platforms: Sequence[Platform],
        emit: Emit,
        cancel: Cancel,
        stack: ExitStack,
    ) -> None:
        self._places = places
        self._root = root
        self._platforms = platforms
        self._emit = emit
        self._cancel = cancel
        self._stack = stack
        self._mutex = threading.RLock()
        self._todo = tuple(places)
        self._bases: Bases | None = None
        self._ready = threading.Event()
        if not places:
            self._ready.set()
        self._steps: dict[CacheKey, list[SharedStep]] = {}
        self._on: dict[str, list[SharedStep]] = {}
        self._selections: dict[tuple[Digest, str], Digest] = {}
        self._mounts: dict[tuple[str, str, int, int, int], SharedMount] = {}
        self.layers = SharedLayers(root, emit, cancel)
        self.snapshots = OverlayStore(root, self)
        self.cache = SharedCacheStore(
            LocalCacheStore(root), Layers(root), self.steps, self.layers.offers
        )

    def stores(self) -> Stores:
        """Return the stores that ops draw on."""
        return Stores(self._root, self.snapshots, self.cache, self)

    def solve(self, attempt: Attempt, target: Target) -> Result:
        """Solve a graph, and bring the layers of `target` here.

        What was built on a layer that then cannot be had is looked up again, without it.
        """
        while True:
            lost = self.layers.times_lost
            # A failure cancels its own attempt only, so that there can be another one.
            with deadline(self._cancel, _FOR_EVER) as stop:
                self.layers.stop = stop
                result = attempt(self.stores(), stop)
                if result.error is None:
                    result = result._replace(error=self._brought(result, target))
            self.layers.stop = self._cancel
            if not isinstance(result.error, StoreError) or self.layers.times_lost == lost:
                return result
            self._emit(Note("looking again, without what cannot be had"))

    def _brought(self, result: Result, target: Target) -> StoreError | Cancelled | None:
        try:
            for one in target if isinstance(target, tuple) else (target,):
                ref = None if one is None else result.refs[one]
                if isinstance(ref, Snapshot):
                    self.snapshots.bring(ref.diff_ids)
        except (StoreError, Cancelled) as error:
            return error
        return None

    def steps(self) -> Mapping[CacheKey, Sequence[SharedStep]]:
        """Return the steps of all caches by key."""
        self._load()
        return self._steps

    def offers(self, diff_id: Digest) -> bool:
        """See `LayerSource`."""
        self._load()
        return self.layers.offers(diff_id)

    def fetch(self, diff_ids: Sequence[Digest]) -> None:
        """See `LayerSource`."""
        self.layers.fetch(diff_ids)

    def selection(self, chain: Digest, spec: str) -> Digest | None:
        """See `ops.stores.Offered`."""
        self._load()
        return self._selections.get((chain, spec))

    def twin(self, parent: str, diff_id: Digest, since: int | None) -> tuple[Digest, str] | None:
        """See `ops.stores.Offered`."""
        self._load()
        on = self._on.get(parent, ())
        for step in on:
            if step.diff_id == diff_id:
                return diff_id, step.created
        known = [step for step in on if step.content and self.snapshots.has((step.diff_id,))]
        content = self.snapshots.timeless(diff_id) if known else None
        for step in known:
            if step.content == content and self._has_times(diff_id, step.diff_id, since):
                return step.diff_id, step.created
        return None

    def _has_times(self, diff_id: Digest, other: Digest, since: int | None) -> bool:
        """Say whether `other` has the times that a step which ran from `since` on has set."""
        if since is None:
            return True
        meant = meant_times(since, time.time_ns(), None)
        wanted = {path: ns // _SECOND for path, ns in self.snapshots.times(diff_id) if meant(ns)}
        if not wanted:
            return True
        try:
            # It is about to be a part of the image, so it would be fetched anyway.
            self.snapshots.bring((other,))
            found = {path: ns // _SECOND for path, ns in self.snapshots.times(other)}
        except StoreError:
            return False
        return all(found.get(path) == seconds for path, seconds in wanted.items())

    def fill(self, mounts: Sequence[CacheMount]) -> None:
        """See `ops.stores.Offered`."""
        self._load()
        wanted = {(mount.id, mount.mode, mount.uid, mount.gid) for mount in mounts}
        with self._mutex:
            self._bring_mounts(
                mount
                for mount in self._mounts.values()
                if (mount.id, mount.mode, mount.uid, mount.gid) in wanted
            )

    def pull(self, reference: Reference, platform: Platform) -> ResolvedImage:
        """Return a base image from its registry; its layers come when they are needed."""
        if self._bases is None:
            from buildkit.remotecache.bases import Bases  # the registry client

            self._bases = Bases(self._root, self.layers, self._emit, self._cancel, self._stack)
        return self._bases.pull(reference, platform)

    def keep(self) -> None:
        """Keep what was found elsewhere and is here by now: records, bases, `mounts=ID`."""
        self.cache.keep()
        if self._bases is not None:
            self._bases.keep()
        wanted = {one for place in self._places for one in place.mounts}
        if wanted:
            self._load()
            with self._mutex:
                self._bring_mounts(one for one in self._mounts.values() if one.id in wanted)

    def _bring_mounts(self, mounts: Iterable[SharedMount]) -> None:
        for mount in list(mounts):
            del self._mounts[mount.name]  # once a build, whatever comes of it
            if wants_content(self._root, mount):
                self._bring_mount(mount)

    def _bring_mount(self, mount: SharedMount) -> None:
        while (offer := self.layers.where(mount.diff_id)) is not None:
            what = f"cache mount {mount.id} of {offer.reader.name}"
            try:
                with offer.reader.open(offer.layer) as source:
                    blob = self.layers.counted(source, offer, _unchecked)
                    if unpack_mount(self._root, mount, blob, what):
                        self._emit(Note(f"{what} is here"))
                return
            except (Cancelled, StoreError):
                raise
            except BusyMountError as error:
                self._emit(Warned(f"{what}: {error.message}"))
                return
            except BuildError as error:
                self.layers.give_up(mount.diff_id, offer, error)

    def _load(self) -> None:
        """Read the caches in, once."""
        if self._todo:
            with self._mutex:
                todo, self._todo = self._todo, ()
                try:
                    self._add_all([one for place in todo for one in self._readers(place)])
                finally:
                    self._ready.set()
        self._ready.wait()

    def _add_all(self, readers: Sequence[CacheReader]) -> None:
        found = in_parallel(lambda one, _: self._read(one), readers, at_once=AT_ONCE)
        seen = set()
        for reader, loaded in zip(readers, found, strict=True):
            if loaded is not None and (reader.name, loaded.digest) not in seen:
                seen.add((reader.name, loaded.digest))
                self._add(reader, loaded)

    def _readers(self, place: CachePlace) -> Sequence[CacheReader]:
        """Return what reads a place: within an index of images each platform's has its cache."""
        platforms = self._platforms[:1] if place.kind == "local" else self._platforms
        return [
            reader_of(place, platform, self._emit, self._cancel, self._stack)
            for platform in platforms
        ]

    def _read(self, reader: CacheReader) -> Loaded | None:
        try:
            return reader.load()
        except Cancelled:
            raise
        except BuildError as error:
            self._emit(Warned(f"cache {reader.name}: {error.message}"))
            return None

    def _add(self, reader: CacheReader, loaded: Loaded) -> None:
        document = loaded.document
        self._emit(Note(f"cache {reader.name}: {len(document.steps)} steps"))
        self.layers.add(reader, loaded.layers)
        for step in document.steps:
            self._steps.setdefault(step.key, []).append(step)
            self._on.setdefault(step.parent, []).append(step)
            for one in step.selections:
                self._selections.setdefault((one.chain, one.spec), one.digest)
        for mount in document.mounts:
            self._mounts.setdefault(mount.name, mount)


@contextmanager
def sharing(
    places: Sequence[CachePlace],
    root: StateRoot,
    platforms: Sequence[Platform],
    emit: Emit,
    cancel: Cancel,
) -> Iterator[Shared]:
    """Have the caches at `places` at hand for the time of a block; those in images of `platforms`.

    One platform at least.
    """
    with ExitStack() as stack:
        shared = Shared(places, root, platforms, emit, cancel, stack)
        stack.callback(shared.snapshots.close)
        yield shared


def _unchecked() -> None:
    """Let the work go on: it is alone."""
