"""Layers of shared caches: a `LayerSource` that fetches what a build turns out to need.

In: caches that were read in. Out: layers in the store, several at once, verified by digest, size
and diff ID. What cannot be had, or is not what it says, is warned of, tried at the next cache that
has it, and then offered no more; a full disk is no fault of the cache and is raised as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from buildkit.archive.stream import StreamTaker
from buildkit.content.local import LocalBlobStore
from buildkit.content.streams import Reader
from buildkit.errors import BuildError, Cancelled, StoreError
from buildkit.exporter.forms import Forms
from buildkit.exporter.workers import Check, in_parallel
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Moved, Warned
from buildkit.remotecache.backend import BlobReader
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.source import LayerLostError
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

AT_ONCE = 4
_TOLD_EVERY = 0.1


class Offer(NamedTuple):
    """Where a layer can be had."""

    reader: BlobReader
    layer: Descriptor


class SharedLayers:
    """Offers the layers of caches. `stop` is heeded while layers come."""

    def __init__(self, root: StateRoot, emit: Emit, stop: Cancel) -> None:
        self.stop = stop
        self.lost: dict[str, set[Digest]] = {}
        """Blobs that could not be had, or were not what they should be, by name of the cache."""
        self.times_lost = 0
        self._root = root
        self._emit = emit
        self._offers: dict[Digest, list[Offer]] = {}
        self._taker: StreamTaker | None = None
        self._here: OverlayStore | None = None
        self._mutex = threading.Lock()
        self._turns: dict[Digest, threading.Lock] = {}

    def add(self, reader: BlobReader, layers: Mapping[Digest, Descriptor]) -> None:
        """Offer the layers of a cache."""
        for diff_id, layer in layers.items():
            self._offers.setdefault(diff_id, []).append(Offer(reader, layer))

    def offers(self, diff_id: Digest) -> bool:
        """See `LayerSource`."""
        return bool(self._offers.get(diff_id))

    def where(self, diff_id: Digest) -> Offer | None:
        """Return where a layer can be had."""
        return next(iter(self._offers.get(diff_id, ())), None)

    def fetch(self, diff_ids: Sequence[Digest]) -> None:
        """See `LayerSource`. One that is lost does not keep the others from coming."""
        for failure in in_parallel(self._tried, diff_ids, at_once=AT_ONCE):
            if failure is not None:
                raise failure

    def give_up(self, diff_id: Digest, offer: Offer, error: BuildError) -> None:
        """Offer a layer no more, and say why."""
        self.lost.setdefault(offer.reader.name, set()).add(offer.layer.digest)
        self._offers[diff_id] = [one for one in self._offers[diff_id] if one != offer]
        blob = offer.layer.digest.hex[:12]
        self._emit(
            Warned(f"cache {offer.reader.name}: blob {blob} cannot be used: {error.message}")
        )

    def counted(self, source: Reader, offer: Offer, check: Check) -> Reader:
        """Return a reader of a blob that tells how far it is, and heeds `stop` and `check`."""
        what = f"layer {offer.layer.digest.hex[:12]} of {offer.reader.name}"
        return _Counted(source, what, offer.layer.size, self._emit, (self.stop.check, check))

    def _tried(self, diff_id: Digest, check: Check) -> LayerLostError | None:
        try:
            self._bring(diff_id, check)
        except LayerLostError as error:
            return error
        return None

    def _bring(self, diff_id: Digest, check: Check) -> None:
        with self._mutex:
            taker, here = self._stores()
            turn = self._turns.setdefault(diff_id, threading.Lock())
        with turn:
            # Not by the store of the build, for which what is offered is there.
            if here.has((diff_id,)):
                return
            while (offer := self.where(diff_id)) is not None:
                what = f"layer {offer.layer.digest.hex[:12]} of {offer.reader.name}"
                try:
                    with offer.reader.open(offer.layer) as source:
                        counted = self.counted(source, offer, check)
                        taker.take(counted, diff_id, offer.layer, what)
                    return
                except (Cancelled, StoreError):
                    raise
                except BuildError as error:
                    self.give_up(diff_id, offer, error)
            self.times_lost += 1
            raise LayerLostError(f"layer {diff_id} can be had from no cache any more")

    def _stores(self) -> tuple[StreamTaker, OverlayStore]:
        """Return what takes layers, made when the first one is wanted."""
        if self._taker is None or self._here is None:
            blobs = LocalBlobStore(self._root)
            self._here = OverlayStore(self._root)
            forms = Forms(self._root, self._here, blobs)
            self._taker = StreamTaker(self._here, blobs, forms)
        return self._taker, self._here


class _Counted:
    """Passes a stream on, ten times a second tells how far it is, and ends when told to."""

    def __init__(
        self, source: Reader, what: str, total: int, emit: Emit, checks: Sequence[Check]
    ) -> None:
        self._source = source
        self._what = what
        self._total = total
        self._emit = emit
        self._checks = checks
        self._done = 0
        self._told = time.monotonic()

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        for check in self._checks:
            check()
        data = self._source.read(size)
        self._done += len(data)
        now = time.monotonic()
        if data and (now - self._told >= _TOLD_EVERY or self._done == self._total):
            self._told = now
            self._emit(Moved(self._what, self._done, self._total))
        return data
