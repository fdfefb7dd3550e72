"""What a build has to give to a shared cache: its steps, by key.

In: the graph, what became of it, the records of the cache. Out: `SharedStep`s, each with what was
selected from file systems below it, so that who has the step only need not look at those. A step
whose key holds a mark of a secret stays here: the mark is made with a key of this store, so nobody
else can use it (guarantee S26).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from buildkit.cache.key import CacheKey
from buildkit.cache.result import Ref
from buildkit.cache.store import CacheStore
from buildkit.llb.graph import Graph, Target, Vertex
from buildkit.llb.op import BindMount, CacheMount, CopyOp, CopySource, ExecOp, ImageOp
from buildkit.oci.digest import Digest
from buildkit.ops.remembered import spec_of
from buildkit.ops.shown import mount_spec
from buildkit.remotecache.document import Selection, SharedStep
from buildkit.snapshot.snapshot import Snapshot
from runtime.values import NamedTuple

Remembered = Callable[[Digest, str], Digest | None]
"""Returns what was selected from a snapshot, as `ops.remembered` knows it."""


class Solved(NamedTuple):
    """A graph and what became of it, by name of vertex; `image`: what has a layer in the image."""

    graph: Graph
    target: Target
    refs: Mapping[str, Ref]
    keys: Mapping[str, CacheKey]
    image: Collection[str]


def shared_steps(
    solved: Solved, cache: CacheStore, remembered: Remembered, *, everything: bool, day: str
) -> tuple[SharedStep, ...]:
    """Return the steps of the image's own layers, or `everything`. `day`: of use."""
    found = []
    for vertex in solved.graph.only(solved.target).order():
        if not everything and vertex.id not in solved.image:
            continue
        key, ref = solved.keys.get(vertex.id), solved.refs.get(vertex.id)
        record = None if key is None else cache.find(key)
        if record is None or not isinstance(ref, Snapshot) or holds_secret(record.document):
            continue
        if record.diff_id != ref.diff_ids[-1]:
            continue  # made again by another process meanwhile, with another result
        found.append(
            SharedStep(
                document=record.document,
                parent=record.parent,
                diff_id=record.diff_id,
                created=record.created,
                made=int(record.made),
                took=int(record.seconds * 1000),
                used=day,
                selections=tuple(_selections(vertex, solved, remembered, everything=everything)),
            )
        )
    return tuple(found)


def holds_secret(document: str) -> bool:
    """Say whether a key depends on the value of a secret."""
    parts = json.loads(document).get("parts") or {}
    return any(name.startswith("secret ") for name in parts)


def _selections(
    vertex: Vertex, solved: Solved, remembered: Remembered, *, everything: bool
) -> Iterator[Selection]:
    """Yield what was selected from snapshots to make the key of `vertex`.

    Who has none of a stage's steps has to make the stage, and can look for himself.
    """
    for spec, number in _looks(vertex):
        name = vertex.inputs[number]
        ref = None if name is None else solved.refs.get(name)
        if name is None or not isinstance(ref, Snapshot):
            continue
        if everything or name in solved.image or isinstance(solved.graph[name].op, ImageOp):
            digest = remembered(ref.chain, spec)
            if digest is not None:
                yield Selection(ref.chain, spec, digest)


def _looks(vertex: Vertex) -> Sequence[tuple[str, int]]:
    """Return what `vertex` takes from which of its inputs, as `ops.remembered` has it."""
    op = vertex.op
    if isinstance(op, CopyOp):
        origins = {one.origin for one in op.sources if isinstance(one, CopySource)}
        return [(spec_of(op, number), number) for number in sorted(origins)]
    if isinstance(op, ExecOp):
        return [
            (mount_spec(mount.origin, mount.source), mount.origin)
            for mount in op.mounts
            if isinstance(mount, BindMount | CacheMount) and mount.origin is not None
        ]
    return ()
