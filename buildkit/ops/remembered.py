"""What was selected from snapshots, remembered: a snapshot never changes, so neither does that.

In: a chain ID and a text for what is selected. Out: the digest found the last time, so that a
cached COPY --from looks at no file at all.
"""

from __future__ import annotations

import json

from buildkit.llb.op import CopyOp, CopySource
from buildkit.oci.digest import Digest, sha256_of
from buildkit.snapshot.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from buildkit.cache.result import Ref
    from buildkit.ops.stores import Stores
    from buildkit.state.root import StateRoot


def spec_of(op: CopyOp, origin: int) -> str:
    """Return a text for all that decides what `op` selects from input `origin`, but its tree."""
    paths = [
        (number, source.path)
        for number, source in enumerate(op.sources)
        if isinstance(source, CopySource) and source.origin == origin
    ]
    flags = (op.exclude, op.parents, op.chmod, bool(op.chown), op.keep_owner)
    text = json.dumps([1, paths, flags])
    return sha256_of(text.encode("utf-8", "surrogatepass")).hexdigest()


def known_of(
    stores: Stores, op: CopyOp, origins: Iterable[int], inputs: Sequence[Ref | None]
) -> dict[int, Digest] | None:
    """Return what `op` selects, where all it selects from are snapshots looked at before."""
    found: dict[int, Digest] = {}
    for number in origins:
        digest = known(stores, inputs[number], spec_of(op, number))
        if digest is None:
            return None
        found[number] = digest
    return found


def known(stores: Stores, ref: Ref | None, spec: str) -> Digest | None:
    """Return what `spec` selects from `ref`, a snapshot that was looked at before or is offered."""
    if not isinstance(ref, Snapshot):
        return None
    digest = find(stores.root, ref.chain, spec)
    if digest is None and stores.offered is not None:
        digest = stores.offered.selection(ref.chain, spec)
    return digest


def save_of(
    root: StateRoot, op: CopyOp, digests: Mapping[int, Digest], inputs: Sequence[Ref | None]
) -> None:
    """Remember what `op` selects from snapshots: digests by input."""
    rows = [
        (ref.chain, spec_of(op, number), digest)
        for number, digest in digests.items()
        if isinstance(ref := inputs[number], Snapshot)
    ]
    if rows:
        save(root, rows)


def find(root: StateRoot, chain: Digest, spec: str) -> Digest | None:
    """Return the digest remembered for `spec` in the snapshot `chain`."""
    query = "SELECT digest FROM snapshot_selection WHERE chain = ? AND sources = ?"
    with root.reading():
        row = root.database().execute(query, (chain, spec)).fetchone()
    try:
        return None if row is None else Digest.parse(row[0])
    except (ValueError, TypeError):
        return None


def save(root: StateRoot, rows: Iterable[tuple[Digest, str, Digest]]) -> None:
    """Remember digests by chain ID and spec."""
    with root.transaction() as database:
        database.executemany("INSERT OR REPLACE INTO snapshot_selection VALUES (?, ?, ?)", rows)
