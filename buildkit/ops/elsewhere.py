"""Early cutoff across machines: what was made here, as what another machine made before.

In: a vertex, what it gave, and what shared caches have. Out: the same outcome, or one with the
layer of a shared cache that is the same in all but the times that happened to be.
"""

from __future__ import annotations

from buildkit.cache.result import Outcome
from buildkit.llb.graph import Vertex
from buildkit.llb.op import CopyOp
from buildkit.ops.stores import Offered
from buildkit.snapshot.snapshot import Snapshot


def as_elsewhere(
    vertex: Vertex,
    parent: Snapshot | None,
    outcome: Outcome,
    offered: Offered,
    since: int | None,
) -> Outcome:
    """Return what was made, as the earlier result that it is another time.

    `since`: as in `SnapshotStore.commit`.
    """
    if outcome.diff_id is None:
        return outcome
    linked = isinstance(vertex.op, CopyOp) and vertex.op.link
    chain = "" if parent is None or linked else str(parent.chain)
    twin = offered.twin(chain, outcome.diff_id, since)
    if twin is None:
        return outcome
    diff_id, created = twin
    ref = Snapshot.on(parent, diff_id)
    return outcome._replace(ref=ref, diff_id=diff_id, created=created, reused=True)
