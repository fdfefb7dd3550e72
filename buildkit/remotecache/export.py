"""Writing what a build has to shared caches.

In: what was solved, places to write to. Out: caches there. Layers leave in the form they have in
the store, made if need be; one that was never fetched, because nobody needed it, is passed on from
the cache that offers it, unless it is there already. An error is one of the export alone: the image
is fine (exit status 4).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol

from buildkit.cache.store import CacheStore
from buildkit.content.store import BlobStore
from buildkit.content.streams import CHUNK
from buildkit.errors import BuildError, Cancelled, ImageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.destination import OutputError
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.pipe import produced
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import layer_type
from buildkit.oci.platforms import Platform
from buildkit.ops import remembered
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note, Warned
from buildkit.remotecache.attributes import CachePlace
from buildkit.remotecache.backend import Blob, CacheWriter, Loaded, Make, Written, written
from buildkit.remotecache.document import SharedMount, SharedStep
from buildkit.remotecache.inline import with_cache
from buildkit.remotecache.layers import Offer
from buildkit.remotecache.load import Shared
from buildkit.remotecache.merge import Own, merge
from buildkit.remotecache.mounts import BusyMountError, PackedMount, find_mounts, pack_mount
from buildkit.remotecache.own import Solved, shared_steps
from buildkit.remotecache.places import writer_of
from buildkit.snapshot.compression import Compressor, compressor
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot

_SENT = 64 << 10


class Stores(Protocol):
    """The stores that an export reads."""

    @property
    def root(self) -> StateRoot:
        """The state root."""
        ...

    @property
    def cache(self) -> CacheStore:
        """Records of steps."""
        ...

    @property
    def blobs(self) -> BlobStore:
        """Compressed layers."""
        ...


class CacheExport:
    """What one build has to give, to `places`. `shared`: the caches it drew on, None without."""

    def __init__(
        self,
        places: Sequence[CachePlace],
        solved: Solved,
        stores: Stores,
        shared: Shared | None,
        platform: Platform,
        emit: Emit,
        cancel: Cancel,
    ) -> None:
        self._places = places
        self._solved = solved
        self._root = stores.root
        self._cache: CacheStore = stores.cache if shared is None else shared.cache
        self._shared = shared
        self._platform = platform
        self._emit = emit
        self._cancel = cancel
        self._here = OverlayStore(stores.root)  # the layers that really are here
        self._forms = Forms(stores.root, self._here, stores.blobs)
        self._day = time.strftime("%Y-%m-%d", time.gmtime())

    def within(self, image: Image, layered: frozenset[str]) -> Image:
        """Return `image` with the cache in it if one of the places is there.

        `layered`: the vertices that have a layer in this image.
        """
        if not any(place.kind == "inline" for place in self._places):
            return image
        own = self._solved._replace(image=layered)
        steps = shared_steps(own, self._cache, self._remembered, everything=False, day="")
        return with_cache(image, steps)

    def write(self) -> None:
        """Write the caches at all other places.

        All are tried. Raises OutputError for the first failure that is not to be ignored.
        """
        failures: list[OutputError] = []
        for place in self._places:
            try:
                with ExitStack() as stack:
                    self._write(place, stack)
            except Cancelled:
                raise
            except BuildError as error:
                message = f"cache {place.name} was not written: {error.message}"
                if place.ignore_error:
                    self._emit(Warned(message))
                else:
                    failures.append(OutputError(message, hint=error.hint))
        if failures:
            raise failures[0]

    def _steps(self, *, everything: bool, day: str) -> tuple[SharedStep, ...]:
        return shared_steps(
            self._solved, self._cache, self._remembered, everything=everything, day=day
        )

    def _write(self, place: CachePlace, stack: ExitStack) -> None:
        shared = self._shared
        lost = () if shared is None else shared.layers.lost.get(place.name, ())
        writer = writer_of(place, self._platform, self._emit, self._cancel, stack, frozenset(lost))
        if writer is None:
            return
        how = compressor(place.compression or "gzip", place.level)
        steps = self._steps(everything=place.mode == "max", day=self._day)
        layers: dict[Digest, Descriptor] = {}
        contents = self._contents(writer)
        makers: list[Make] = [
            partial(self._layer, diff_id, how, place, layers, contents)
            for diff_id in dict.fromkeys(step.diff_id for step in steps)
        ]
        mounts: list[SharedMount] = []
        for packed in self._mounts(place, how):
            mounts.append(packed.mount)
            kind = layer_type(how.compression, docker=place.docker)
            layers[packed.mount.diff_id] = Descriptor(kind, packed.digest, packed.size)
            makers.append(partial(_packed_blob, packed))

        def merged(there: Loaded | None) -> Written | None:
            known = [step._replace(content=contents.get(step.diff_id, "")) for step in steps]
            own = Own(tuple(known), tuple(mounts), layers)
            found = merge(own, there, self._day, reset=place.reset)
            if found is None:
                return None
            return written(found.document, found.layers, docker=place.docker)

        digest = writer.write(makers, merged)
        self._emit(Note(f"cache {place.name}: {len(steps)} steps written, {digest}"))

    def _contents(self, writer: CacheWriter) -> dict[Digest, str]:
        """Return the `content` of layers as far as it is known, so that none is read for it."""
        steps: list[SharedStep] = []
        if self._shared is not None:
            steps += [step for found in self._shared.steps().values() for step in found]
        try:
            steps += writer.load().document.steps
        except Cancelled:
            raise
        except BuildError:
            pass  # nothing is there yet, or nothing that is of use; writing will tell
        return {step.diff_id: step.content for step in steps if step.content}

    def _layer(
        self,
        diff_id: Digest,
        how: Compressor,
        place: CachePlace,
        layers: dict[Digest, Descriptor],
        contents: dict[Digest, str],
    ) -> Blob:
        """Make a layer ready to be written, and note its descriptor and content."""
        offer = None
        if self._shared is not None and not self._here.has((diff_id,)):
            offer = self._shared.layers.where(diff_id)
        if offer is not None:
            layers[diff_id] = Descriptor(*offer.layer[:3])
            what = f"layer {offer.layer.digest.hex[:12]}"
            return Blob(offer.layer.digest, offer.layer.size, partial(self._passed_on, offer), what)
        form = self._forms.known(diff_id, how, force=place.force_compression, keep=False)
        if form is None:
            form = self._forms.make(diff_id, how, self._cancel.check, keep=False)
        kind = layer_type(form.compression, docker=place.docker)
        layers[diff_id] = Descriptor(kind, form.digest, form.size)
        if diff_id not in contents:
            contents[diff_id] = self._here.timeless(diff_id) or ""
        what = f"layer {form.digest.hex[:12]}"
        return Blob(form.digest, form.size, partial(self._read, form), what)

    def _read(self, form: Form, offset: int) -> Iterator[bytes]:
        """Read a layer from an offset; what is before is read as well, since all is verified."""
        with produced(lambda sink: self._forms.copy(form, sink)) as reader:
            left = offset
            while left and (data := reader.read(min(left, CHUNK))):
                left -= len(data)
            while data := reader.read(_SENT):
                self._cancel.check()
                yield data

    def _passed_on(self, offer: Offer, offset: int) -> Iterator[bytes]:
        """Read a layer from the cache that offers it. Raises ImageError when it is another."""
        seen = hashlib.sha256()
        with offer.reader.open(offer.layer) as reader:
            left = offset
            while data := reader.read(_SENT):
                self._cancel.check()
                seen.update(data)
                skipped = min(left, len(data))
                left -= skipped
                if skipped < len(data):
                    yield data[skipped:]
        if f"sha256:{seen.hexdigest()}" != offer.layer.digest:
            raise ImageError(f"cache {offer.reader.name}: blob {offer.layer.digest} is damaged")

    def _mounts(self, place: CachePlace, how: Compressor) -> Iterator[PackedMount]:
        """Yield the cache mounts that are to go along, packed."""
        missing = set(place.mounts)
        for mount, directory in find_mounts(self._root, place.mounts):
            missing.discard(mount.id)
            try:
                dated = mount._replace(used=self._day)
                packed = pack_mount(self._root, dated, directory, how, self._cancel.check)
            except BusyMountError as error:
                self._emit(Warned(f"cache mount {mount.id} does not go along: {error.message}"))
            else:
                if packed is not None:
                    yield packed
        for name in sorted(missing):
            self._emit(Warned(f"no cache mount is called {name!r}"))

    def _remembered(self, chain: Digest, spec: str) -> Digest | None:
        found = remembered.find(self._root, chain, spec)
        if found is None and self._shared is not None:
            found = self._shared.selection(chain, spec)
        return found


def _packed_blob(packed: PackedMount) -> Blob:
    def opened(offset: int) -> Iterator[bytes]:
        with open(packed.path, "rb") as file:
            file.seek(offset)
            while data := file.read(_SENT):
                yield data

    return Blob(packed.digest, packed.size, opened, f"cache mount {packed.mount.id}")
