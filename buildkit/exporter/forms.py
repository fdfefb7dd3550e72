"""The forms in which layers leave the store: compressed once, remembered, verified on the way.

In: a layer's diff ID and the wanted compression. Out: a `Form` with digest and size, and its
bytes. A layer that has the wanted form already is copied; one that came from elsewhere keeps the
form it came in unless told otherwise. A form that is hardly smaller than the layer is not kept:
it would take the disk's time and room twice, and making it again costs little more than reading
it. It is on record, and verified when it is made again. Guarantee R2.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.content.store import BlobStore, Stored
from buildkit.content.streams import CHUNK, Reader, Rejoined, Sink, VerifyingReader, copy
from buildkit.errors import ImageError, StoreError, UsageError
from buildkit.exporter.form_rows import FormRow, FormRows
from buildkit.exporter.pipe import produced
from buildkit.exporter.workers import Check, in_parallel, unchecked
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.snapshot.compression import (
    CompressingSink,
    Compressor,
    DecompressingReader,
    compressor,
    detect,
    is_noise,
)
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

_LONG = 4 << 20
"""Bytes from which on a second thread is worth its start."""

_LOOKED_AT = 8
"""MiB at the beginning of a layer that tell whether its form is worth keeping."""

_NOISY = 7
"""So many of them must be noise."""

_HARDLY_SMALLER = 15 / 16
"""Of the tar's size: below that a form is kept after all, from the second time on."""

FOREIGN = ""
"""The compressor of a blob that came from elsewhere: whoever it was."""


class Form(NamedTuple):
    """A layer as it leaves: the blob `digest` of `size` bytes.

    `stored`: it lies in the store. `again`: it does not, and this makes it.
    """

    diff_id: Digest
    compression: Compression
    digest: Digest
    size: int
    stored: bool
    again: Compressor | None = None


class Forms:
    """Finds and makes forms. Any thread may use it.

    What may leave no blob behind is asked for with `keep=False`; the images of an index are
    named by the digests of their manifests, so their forms have to stay what they are.
    `cancelled` is called for each block, and raises when the work is not wanted any more.
    """

    def __init__(
        self,
        root: StateRoot,
        snapshots: SnapshotStore,
        blobs: BlobStore,
        cancelled: Check = unchecked,
    ) -> None:
        self._cancelled = cancelled
        self._rows = FormRows(root)
        self._snapshots = snapshots
        self._blobs = blobs

    def of(
        self,
        diff_ids: Sequence[Digest],
        how: Compressor,
        *,
        force: bool = False,
        keep: bool = True,
    ) -> tuple[Form, ...]:
        """Return the form of each layer, made where it is not there yet, several at once.

        `force`: also layers from elsewhere get the wanted compression.
        """
        distinct = tuple(dict.fromkeys(diff_ids))
        self.check(distinct)
        known = {d: form for d in distinct if (form := self.known(d, how, force=force, keep=keep))}
        todo = [diff_id for diff_id in distinct if diff_id not in known]
        made = in_parallel(lambda diff_id, check: self.make(diff_id, how, check, keep=keep), todo)
        known.update(zip(todo, made, strict=True))
        return tuple(known[diff_id] for diff_id in diff_ids)

    def check(self, diff_ids: Sequence[Digest]) -> None:
        """Mark layers as in use. Raises StoreError for one that is not in the store."""
        if not self._snapshots.has(diff_ids):
            missing = next(d for d in diff_ids if not self._snapshots.has((d,)))
            raise StoreError(
                f"layer {missing} is not in the store", hint="build, load or pull the image again"
            )

    def tar_size(self, diff_id: Digest) -> int:
        """Return the bytes of the layer's tar. Raises StoreError for one that is not here."""
        return self._rows.tar_size(diff_id)

    def copy(self, form: Form, sink: Sink) -> None:
        """Pass the form's bytes to `sink`. Raises StoreError when they are not what they were."""

        def checked(block: bytes) -> None:
            self._cancelled()
            sink(block)

        self._copy(form, checked)

    def _copy(self, form: Form, sink: Sink) -> None:
        if form.stored and form.size > _LONG:
            # Read and hashed in one thread, written in the other.
            with produced(lambda put: self._blobs.copy(form.digest, put)) as reader:
                copy(reader, sink)
        elif form.stored:
            self._blobs.copy(form.digest, sink)
        elif form.again is not None:
            self._copy_again(form, form.again, sink)
        else:
            self.copy_tar(form.diff_id, sink)

    def copy_tar(self, diff_id: Digest, sink: Sink) -> None:
        """Pass the layer's tar to `sink`. Raises StoreError when it is not what it was."""
        if self._snapshots.is_packed(diff_id):
            self._snapshots.pack(diff_id, sink)
            return
        row = next((row for row in self._rows.of(diff_id) if self._blobs.has(row.digest)), None)
        if row is None:
            raise StoreError(
                f"the blob of layer {diff_id} is gone, and its tar cannot be made without it",
                hint="load or pull the image again",
            )
        with self._blobs.open(row.digest) as blob:
            head = blob.read(1 << 16)
            source = DecompressingReader(Rejoined(head, blob), detect(head), f"blob {row.digest}")
            copy(VerifyingReader(source, expected=diff_id, what=f"layer {diff_id}"), sink)

    def has(self, diff_id: Digest, digest: Digest) -> bool:
        """Say whether the blob `digest` is here and known to be a form of the layer."""
        known = any(row.digest == digest for row in self._rows.of(diff_id))
        return known and self._blobs.has(digest)

    def has_tar(self, diff_id: Digest) -> bool:
        """Say whether the layer's tar can be had: made again, or out of a blob."""
        if self._snapshots.is_packed(diff_id):
            return True
        return any(self._blobs.has(row.digest) for row in self._rows.of(diff_id))

    def restore(self, diff_id: Digest, digest: Digest) -> bool:
        """Make a form that is on record be in the store as a blob; say whether that could be."""
        for row in self._rows.of(diff_id):
            if row.digest != digest or row.kept:
                continue
            try:
                how = compressor(row.compression)
            except UsageError:  # the library was there once
                return False
            if how.name == row.compressor and self.has_tar(diff_id):
                form = self.make(diff_id, how, unchecked)
                return form.digest == digest
        return False

    def remember(self, form: Form, name: str) -> None:
        """Note that the compressor `name` made the form of the layer."""
        kept = form.again is None
        row = FormRow(form.compression, name, form.digest, form.size, kept)
        self._rows.put(form.diff_id, row)

    def known(
        self, diff_id: Digest, how: Compressor, *, force: bool, keep: bool = True
    ) -> Form | None:
        """Return the best form that needs no compressing, None when there is none.

        Without `keep` it may be one that is on record only.
        """

        def rank(row: FormRow) -> int:
            if (row.compression, row.compressor) == (how.compression, how.name):
                return 0
            if row.compressor != FOREIGN:
                return 9
            if row.compression == how.compression:
                return 1
            return 9 if force else 2

        for row in sorted(self._rows.of(diff_id), key=rank):
            if rank(row) == 9:
                break
            form = Form(diff_id, row.compression, row.digest, row.size, stored=True)
            if row.kept and self._blobs.has(row.digest):
                return form
            if not row.kept and not keep and self._is_cheap(diff_id, row):
                return form._replace(stored=False, again=how)
        if how.compression == "none":
            return Form(diff_id, "none", diff_id, self._rows.tar_size(diff_id), stored=False)
        return None

    def make(
        self,
        diff_id: Digest,
        how: Compressor,
        check: Check,
        tap: Sink | None = None,
        *,
        keep: bool = True,
    ) -> Form:
        """Compress the layer into the store. `check` is called for each block of it.

        `tap` gets the compressed bytes, too, in another thread. Without `keep` noise is only put
        on record.
        """
        kept = keep or not self._is_noise(diff_id, how)

        def compress(sink: Sink) -> None:
            def put(block: bytes) -> None:
                sink(block)
                if tap is not None:
                    tap(block)

            self._compress(diff_id, how, put, check)

        with produced(compress) as reader:
            found = self._blobs.put(reader) if kept else _measured(reader)
        form = Form(diff_id, how.compression, found.digest, found.size, stored=kept)
        if not kept:
            form = form._replace(again=how)
        self.remember(form, how.name)
        return form

    def _compress(self, diff_id: Digest, how: Compressor, sink: Sink, check: Check) -> None:
        compressing = CompressingSink(how, sink)

        def checked(block: bytes) -> None:
            check()
            self._cancelled()
            compressing(block)

        self.copy_tar(diff_id, checked)
        compressing.finish()

    def _copy_again(self, form: Form, how: Compressor, sink: Sink) -> None:
        """Make a form that is on record, and hold it against that."""
        try:
            with produced(lambda put: self._compress(form.diff_id, how, put, unchecked)) as reader:
                copy(VerifyingReader(reader, expected=form.digest, size=form.size), sink)
        except ImageError as error:
            # A layer that became longer is the first to be noticed here.
            self.copy_tar(form.diff_id, lambda _: None)
            row = FormRow(form.compression, how.name, form.digest, form.size, kept=False)
            self._rows.forget(form.diff_id, row)
            raise StoreError(
                f"layer {form.diff_id} is compressed to other bytes than it was: {error}",
                hint="what was on record of it is forgotten; do the same again",
            ) from None

    def _is_cheap(self, diff_id: Digest, row: FormRow) -> bool:
        """Say whether a form that is on record can be made again, and nearly as fast as read."""
        tar_size = self._rows.tar_size(diff_id)
        return row.size >= tar_size * _HARDLY_SMALLER and self._snapshots.is_packed(diff_id)

    def _is_noise(self, diff_id: Digest, how: Compressor) -> bool:
        """Say whether the layer's form is not worth keeping, by the layer's first blocks.

        What is known of other times decides first: these blocks may be unlike the rest.
        """
        size = self._rows.tar_size(diff_id)
        if how.compression == "none" or size < _LOOKED_AT * CHUNK:
            return False
        if not self._snapshots.is_packed(diff_id):
            return False
        forms = (row for row in self._rows.of(diff_id) if row.compression != "none")
        if any(row.size < size * _HARDLY_SMALLER for row in forms):
            return False
        blocks = self._first_blocks(diff_id)
        return sum(is_noise(block) for block in blocks) >= _NOISY

    def _first_blocks(self, diff_id: Digest) -> list[bytes]:
        found = bytearray()

        def take(block: bytes) -> None:
            found.extend(block)
            if len(found) >= _LOOKED_AT * CHUNK:
                raise _Enough

        try:
            self._snapshots.pack(diff_id, take)
        except _Enough:
            pass
        return [bytes(found[at * CHUNK : (at + 1) * CHUNK]) for at in range(_LOOKED_AT)]


class _Enough(Exception):  # noqa: N818 - no error: the beginning of a tar was wanted
    """Ends the packing of a layer."""


def _measured(source: Reader) -> Stored:
    """Return digest and size of what is not kept."""
    checked = VerifyingReader(source, expected=None)
    copy(checked, lambda _: None)
    return Stored(checked.digest(), checked.seen)
