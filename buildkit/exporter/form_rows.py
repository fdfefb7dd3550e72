"""What is on record about the forms of layers: the rows of `blob_form`.

In: a layer's diff ID. Out: its forms, by compression and compressor. Most are blobs of the store.
Of a form that is hardly smaller than the layer only digest and size are kept; a mark before the
name of its compressor says so, by which it is told from one whose blob was lost.
"""

from __future__ import annotations

from buildkit.errors import StoreError
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.state.root import StateRoot
from buildkit.state.schema import UNKEPT
from runtime.values import NamedTuple


class FormRow(NamedTuple):
    """A form of a layer; `size` in bytes. `kept`: it is, or was, a blob of the store."""

    compression: Compression
    compressor: str
    digest: Digest
    size: int
    kept: bool = True


class FormRows:
    """The rows of one state root. Any thread may use it."""

    def __init__(self, root: StateRoot) -> None:
        # A new database is made before several threads want to make it.
        root.database()
        self._root = root

    def of(self, diff_id: Digest) -> list[FormRow]:
        """Return the forms of a layer."""
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
            FormRow(
                compression,
                compressor.removeprefix(UNKEPT),
                Digest.parse(digest),
                size,
                kept=not compressor.startswith(UNKEPT),
            )
            for compression, compressor, digest, size in rows
        ]

    def put(self, diff_id: Digest, row: FormRow) -> None:
        """Note a form, in place of what was known of the same compressor's."""
        self.forget(diff_id, row)
        name = row.compressor if row.kept else UNKEPT + row.compressor
        with self._root.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO blob_form(diff_id, compression, compressor, digest, size)"
                " VALUES(?, ?, ?, ?, ?)",
                (diff_id, row.compression, name, row.digest, row.size),
            )

    def forget(self, diff_id: Digest, row: FormRow) -> None:
        """Forget what is known of the compressor's form, kept or not."""
        with self._root.transaction() as database:
            database.executemany(
                "DELETE FROM blob_form WHERE diff_id=? AND compression=? AND compressor=?",
                [
                    (diff_id, row.compression, name)
                    for name in (row.compressor, UNKEPT + row.compressor)
                ],
            )

    def tar_size(self, diff_id: Digest) -> int:
        """Return the bytes of the layer's tar. Raises StoreError for one that is not here."""
        with self._root.reading():
            row = (
                self._root.database()
                .execute("SELECT size FROM layer WHERE diff_id=?", (diff_id,))
                .fetchone()
            )
        if row is None:
            raise StoreError(f"layer {diff_id} is not in the store")
        return int(row[0])
