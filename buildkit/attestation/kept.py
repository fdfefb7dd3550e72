"""The attestations of the local store: a statement of each kind for an image, as blobs.

In: statements. Out: the same again. They go with their image when the store is collected. The
table is made when there is a first one, so that a store which never has any is as it always was.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildkit.attestation.statement import AttestationKind
from buildkit.content.store import BlobStore
from buildkit.oci.digest import Digest
from buildkit.state.root import StateRoot
from runtime.typed import get_args
from runtime.values import NamedTuple

_TABLE = (
    "CREATE TABLE IF NOT EXISTS attestation(config TEXT, kind TEXT, statement TEXT,"
    " PRIMARY KEY(config, kind)) WITHOUT ROWID"
)
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type='table' AND name='attestation'"
_KINDS = frozenset(get_args(AttestationKind))


class Kept(NamedTuple):
    """`image`: a config digest. `statement`: a blob."""

    image: Digest
    kind: AttestationKind
    statement: Digest


def keep(
    root: StateRoot, blobs: BlobStore, image: Digest, kind: AttestationKind, statement: bytes
) -> Kept:
    """Keep a statement about `image`, in place of an earlier one of its kind."""
    stored = blobs.put_bytes(statement)
    with root.transaction() as database:
        database.execute(_TABLE)
        database.execute(
            "INSERT OR REPLACE INTO attestation VALUES(?, ?, ?)", (image, kind, stored.digest)
        )
    root.write_back()
    return Kept(image, kind, stored.digest)


def kept(root: StateRoot, image: Digest | None = None) -> tuple[Kept, ...]:
    """Return the attestations of `image`, or all."""
    with root.reading():
        database = root.database()
        if database.execute(_HAS_TABLE).fetchone() is None:
            return ()
        rows = database.execute(
            "SELECT config, kind, statement FROM attestation"
            " WHERE ? IS NULL OR config=? ORDER BY config, kind DESC",
            (image, image),
        ).fetchall()
    found = []
    for config, kind, statement in rows:
        try:
            if kind in _KINDS:
                found.append(Kept(Digest.parse(config), kind, Digest.parse(statement)))
        except ValueError:
            continue  # a damaged row says nothing
    return tuple(found)


def forget(root: StateRoot, gone: Iterable[Kept]) -> None:
    """Forget attestations; their blobs are left to collection."""
    with root.transaction() as database:
        if database.execute(_HAS_TABLE).fetchone() is not None:
            database.executemany(
                "DELETE FROM attestation WHERE config=? AND kind=?",
                [(one.image, one.kind) for one in gone],
            )
