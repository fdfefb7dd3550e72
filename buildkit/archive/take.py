"""One layer from an archive into the store: verified, kept, unpacked.

In: a part of an archive, what it must be. Out: the layer unpacked, and its bytes as a blob, since
the tar of a layer that was not packed here cannot be made again. A plain tar is kept compressed.
That a blob is a form of a layer is noted only after it was decompressed and found to be it.
"""

from __future__ import annotations

from buildkit.archive.members import Members
from buildkit.content.store import BlobStore, Stored
from buildkit.content.streams import Reader, Sink, VerifyingReader, copy
from buildkit.errors import ImageError
from buildkit.exporter.forms import FOREIGN, Form, Forms
from buildkit.exporter.pipe import produced
from buildkit.exporter.workers import Check
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.snapshot.compression import (
    CompressingSink,
    DecompressingReader,
    compressor,
    detect,
)
from buildkit.snapshot.store import SnapshotStore
from runtime.values import NamedTuple


class LayerSource(NamedTuple):
    """A layer in an archive: the part, and digest and size it must have if that is known."""

    part: str
    digest: Digest | None
    size: int | None


class Taker:
    """Takes layers and documents into the stores. Any thread may use it."""

    def __init__(self, snapshots: SnapshotStore, blobs: BlobStore, forms: Forms) -> None:
        self._snapshots = snapshots
        self._blobs = blobs
        self._forms = forms

    def keep(self, document: bytes) -> Digest:
        """Store a config or a manifest; return its digest."""
        return self._blobs.put_bytes(document).digest

    def keep_part(self, members: Members, part: str, blob: Descriptor) -> None:
        """Store a part that must be `blob`. Raises ImageError when it is not."""
        with members.opened(part) as stream:
            self._blobs.put(stream, expected=blob.digest, size=blob.size)

    def take(self, members: Members, source: LayerSource, diff_id: Digest, check: Check) -> None:
        """Make the layer `diff_id` be in the store. Raises ImageError when the part is not it.

        `check` is called for each block, and raises to end it.

        Of a layer that is here already the part is kept all the same if it has a digest of its
        own: then its image leaves the store as it came.
        """
        here = self._snapshots.has((diff_id,)) and self._forms.has_tar(diff_id)
        if here and (source.digest is None or self._forms.has(diff_id, source.digest)):
            return
        compression = _compression(members, source)
        if compression == "none" and source.digest is None:
            compression = "gzip"
            stored = self._compressed(members, source, check)
        else:
            with members.opened(source.part) as stream:
                checked = _Checked(stream, check)
                stored = self._blobs.put(checked, expected=source.digest, size=source.size)
        with self._blobs.open(stored.digest) as blob:
            name = f"{source.part} in {members.name}"
            tar = DecompressingReader(_Checked(blob, check), compression, name)
            if here:
                self._verify(tar, diff_id, source)
            else:
                self._snapshots.unpack(tar, diff_id)
        form = Form(diff_id, compression, stored.digest, stored.size, stored=True)
        # Foreign in either case: there is nothing else from which its tar could be made.
        self._forms.remember(form, FOREIGN)

    def _compressed(self, members: Members, source: LayerSource, check: Check) -> Stored:
        """Store a plain tar, compressed."""

        def compress(sink: Sink) -> None:
            compressing = CompressingSink(compressor("gzip"), sink)
            with members.opened(source.part) as stream:
                copy(_Checked(stream, check), compressing)
            compressing.finish()

        with produced(compress) as reader:
            return self._blobs.put(reader)

    @staticmethod
    def _verify(tar: Reader, diff_id: Digest, source: LayerSource) -> None:
        copy(VerifyingReader(tar, expected=diff_id, what=source.part), lambda _: None)


class _Checked:
    """A reader that calls `check` before each block."""

    def __init__(self, source: Reader, check: Check) -> None:
        self._source = source
        self._check = check

    def read(self, size: int, /) -> bytes:
        self._check()
        return self._source.read(size)


def _compression(members: Members, source: LayerSource) -> Compression:
    """Return how the part is compressed, by its first bytes: media types are not always right."""
    with members.opened(source.part) as stream:
        form = detect(stream.read(6))
    match form:
        case "none" | "gzip" | "zstd":
            return form
        case _:
            raise ImageError(
                f"{source.part} in {members.name} is compressed with {form}",
                hint="layers are plain tars, gzip or zstd",
            )
