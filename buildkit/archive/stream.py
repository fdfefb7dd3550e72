"""One layer from a stream into the store, in one pass: hashed, kept, decompressed, unpacked.

In: a layer as it comes from the network, what it must be. Out: the layer unpacked, and its bytes
as a blob, since the tar of a layer that was not packed here cannot be made again. One thread reads,
decompresses and unpacks, another one hashes and writes the blob. Memory is a few blocks.
"""

from __future__ import annotations

from buildkit.content.store import BlobStore
from buildkit.content.streams import CHUNK, Reader, Sink, VerifyingReader, copy
from buildkit.errors import ImageError
from buildkit.exporter.forms import FOREIGN, Form, Forms
from buildkit.exporter.pipe import produced
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.snapshot.compression import DecompressingReader, detect
from buildkit.snapshot.store import SnapshotStore

_HEAD = 6


class StreamTaker:
    """A `LayerTaker` for the stores of one state root. Any thread may use it."""

    def __init__(self, snapshots: SnapshotStore, blobs: BlobStore, forms: Forms) -> None:
        self._snapshots = snapshots
        self._blobs = blobs
        self._forms = forms

    def has(self, diff_id: Digest, layer: Descriptor) -> bool:
        """See `LayerTaker`. A blob that is on record only is made again: that needs no network."""
        if not self._snapshots.has((diff_id,)):
            return False
        return self._forms.has(diff_id, layer.digest) or self._forms.restore(diff_id, layer.digest)

    def take(self, source: Reader, diff_id: Digest, layer: Descriptor, what: str) -> None:
        """See `LayerTaker`."""
        here = self._snapshots.has((diff_id,))
        head = b""
        while len(head) < _HEAD and (more := source.read(CHUNK)):
            head += more
        compression = _compression(head, what)

        def unpack(sink: Sink) -> None:
            tee = _Tee(head, source, sink)
            tar = DecompressingReader(tee, compression, what)
            if here:
                copy(VerifyingReader(tar, expected=diff_id, what=what), lambda _: None)
            else:
                self._snapshots.unpack(tar, diff_id)
            copy(tee, lambda _: None)

        with produced(unpack) as blob:
            stored = self._blobs.put(blob, expected=layer.digest, size=layer.size)
        # Only now is it known that the blob is that layer.
        form = Form(diff_id, compression, stored.digest, stored.size, stored=True)
        self._forms.remember(form, FOREIGN)


class _Tee:
    """Reads a stream, whose first bytes were looked at, and gives a copy of all to a sink."""

    def __init__(self, head: bytes, source: Reader, sink: Sink) -> None:
        self._head = head
        self._source = source
        self._sink = sink

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._source.read(size)
        if data:
            self._sink(data)
        return data


def _compression(head: bytes, what: str) -> Compression:
    """Return how the layer is compressed, by its first bytes: media types are not always right."""
    form = detect(head)
    match form:
        case "none" | "gzip" | "zstd":
            return form
        case _:
            raise ImageError(
                f"{what} is compressed with {form}", hint="layers are plain tars, gzip or zstd"
            )
