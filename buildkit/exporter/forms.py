"""The forms in which layers leave the store: compressed once, remembered, verified on the way.

In: a layer's diff ID and the wanted compression. Out: a `Form` with digest and size, and its
bytes. A layer that has the wanted form already is copied; one that came from elsewhere keeps the
form it came in unless told otherwise. Guarantee R2.
"""

from collections.abc import Sequence

from buildkit.content.store import BlobStore
from buildkit.content.streams import Reader, Sink, VerifyingReader, copy
from buildkit.errors import StoreError
from buildkit.exporter.pipe import produced
from buildkit.exporter.workers import Check, in_parallel
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.snapshot.compression import CompressingSink, Compressor, DecompressingReader, detect
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

_LONG = 4 << 20
"""Bytes from which on a second thread is worth its start."""

FOREIGN = ""
"""The compressor of a blob that came from elsewhere: whoever it was."""


class Form(NamedTuple):
    """A layer as it leaves: the blob `digest` of `size` bytes. `stored`: it lies in the store."""

    diff_id: Digest
    compression: Compression
    digest: Digest
    size: int
    stored: bool


class _Row(NamedTuple):
    compression: Compression
    compressor: str
    digest: Digest
    size: int


class Forms:
    """Finds and makes forms. Any thread may use it."""

    def __init__(self, root: StateRoot, snapshots: SnapshotStore, blobs: BlobStore) -> None:
        # A new database is made before several threads want to make it.
        root.database()
        self._root = root
        self._snapshots = snapshots
        self._blobs = blobs

    def of(
        self,
        diff_ids: Sequence[Digest],
        how: Compressor,
        *,
        force: bool = False,
    ) -> tuple[Form, ...]:
        """Return the form of each layer, made where it is not there yet, several at once.

        `force`: also layers from elsewhere get the wanted compression.
        """
        distinct = tuple(dict.fromkeys(diff_ids))
        if not self._snapshots.has(distinct):
            missing = next(d for d in distinct if not self._snapshots.has((d,)))
            raise StoreError(
                f"layer {missing} is not in the store", hint="build, load or pull the image again"
            )
        known = {d: form for d in distinct if (form := self.known(d, how, force=force))}
        todo = [diff_id for diff_id in distinct if diff_id not in known]
        made = in_parallel(lambda diff_id, check: self.make(diff_id, how, check), todo)
        known.update(zip(todo, made, strict=True))
        return tuple(known[diff_id] for diff_id in diff_ids)

    def copy(self, form: Form, sink: Sink) -> None:
        """Pass the form's bytes to `sink`. Raises StoreError when they are not what they were."""
        if form.stored and form.size > _LONG:
            # Read and hashed in one thread, written in the other.
            with produced(lambda put: self._blobs.copy(form.digest, put)) as reader:
                copy(reader, sink)
        elif form.stored:
            self._blobs.copy(form.digest, sink)
        else:
            self.copy_tar(form.diff_id, sink)

    def copy_tar(self, diff_id: Digest, sink: Sink) -> None:
        """Pass the layer's tar to `sink`. Raises StoreError when it is not what it was."""
        if self._snapshots.is_packed(diff_id):
            self._snapshots.pack(diff_id, sink)
            return
        row = next((row for row in self._rows(diff_id) if self._blobs.has(row.digest)), None)
        if row is None:
            raise StoreError(
                f"the blob of layer {diff_id} is gone, and its tar cannot be made without it",
                hint="load or pull the image again",
            )
        with self._blobs.open(row.digest) as blob:
            head = blob.read(1 << 16)
            source = DecompressingReader(_Rejoined(head, blob), detect(head), f"blob {row.digest}")
            copy(VerifyingReader(source, expected=diff_id, what=f"layer {diff_id}"), sink)

    def has(self, diff_id: Digest, digest: Digest) -> bool:
        """Say whether the blob `digest` is here and known to be a form of the layer."""
        known = any(row.digest == digest for row in self._rows(diff_id))
        return known and self._blobs.has(digest)

    def has_tar(self, diff_id: Digest) -> bool:
        """Say whether the layer's tar can be had: made again, or out of a blob."""
        if self._snapshots.is_packed(diff_id):
            return True
        return any(self._blobs.has(row.digest) for row in self._rows(diff_id))

    def remember(self, form: Form, compressor: str) -> None:
        """Note that the blob `form.digest` is a form of the layer."""
        with self._root.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO blob_form(diff_id, compression, compressor, digest, size)"
                " VALUES(?, ?, ?, ?, ?)",
                (form.diff_id, form.compression, compressor, form.digest, form.size),
            )

    def known(self, diff_id: Digest, how: Compressor, *, force: bool) -> Form | None:
        """Return the best form that needs no work, None when there is none."""

        def rank(row: _Row) -> int:
            if (row.compression, row.compressor) == (how.compression, how.name):
                return 0
            if row.compressor != FOREIGN:
                return 9
            if row.compression == how.compression:
                return 1
            return 9 if force else 2

        for row in sorted(self._rows(diff_id), key=rank):
            if rank(row) < 9 and self._blobs.has(row.digest):
                return Form(diff_id, row.compression, row.digest, row.size, stored=True)
        if how.compression == "none":
            return Form(diff_id, "none", diff_id, self._tar_size(diff_id), stored=False)
        return None

    def make(self, diff_id: Digest, how: Compressor, check: Check, tap: Sink | None = None) -> Form:
        """Compress the layer into the store. `check` is called for each block of it.

        `tap` gets the compressed bytes, too, in another thread.
        """

        def compress(sink: Sink) -> None:
            def put(block: bytes) -> None:
                sink(block)
                if tap is not None:
                    tap(block)

            compressing = CompressingSink(how, put)

            def checked(block: bytes) -> None:
                check()
                compressing(block)

            self.copy_tar(diff_id, checked)
            compressing.finish()

        with produced(compress) as reader:
            stored = self._blobs.put(reader)
        form = Form(diff_id, how.compression, stored.digest, stored.size, stored=True)
        self.remember(form, how.name)
        return form

    def _rows(self, diff_id: Digest) -> list[_Row]:
        with self._root.reading():
            rows = (
                self._root.database()
                .execute(
                    "SELECT compression, compressor, digest, size FROM blob_form WHERE diff_id=?"
                    " ORDER BY compression, compressor",
                    (diff_id,),
                )
                .fetchall()
            )
        return [
            _Row(compression, compressor, Digest.parse(digest), size)
            for compression, compressor, digest, size in rows
        ]

    def _tar_size(self, diff_id: Digest) -> int:
        with self._root.reading():
            row = (
                self._root.database()
                .execute("SELECT size FROM layer WHERE diff_id=?", (diff_id,))
                .fetchone()
            )
        if row is None:
            raise StoreError(f"layer {diff_id} is not in the store")
        return int(row[0])


class _Rejoined:
    """A stream whose first bytes were looked at and are given again."""

    def __init__(self, head: bytes, rest: Reader) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._rest.read(size)
