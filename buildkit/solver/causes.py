"""Why a step has to run, and how long it took before: what earlier builds tell of this one.

In: the vertices of this build and the records of earlier ones, which are read only when the first
step misses. Out: reasons in the user's words, and seconds for the schedule.
"""

from __future__ import annotations

from buildkit.cache.key import TYPES, CacheKey, key_document
from buildkit.llb.op import ImageOp
from buildkit.records.match import Earlier, instruction
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.solver.explain import PARENT_CHANGED, Manifests, below_of, explain
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from buildkit.cache.result import Identity
    from buildkit.cache.store import CacheStore
    from buildkit.llb.graph import Vertex


FIRST_BUILD = "not built before"
NEW_STEP = "new step"
GONE = "its result is no longer in the store"
FORGOTTEN = "the record of last time is gone"


class Past(NamedTuple):
    """What is known from before: `builds` gives the last ones of the same identity, newest first.

    `arguments`: names declared with ARG, for the wording.
    """

    builds: Callable[[], Iterable[BuildRecord]] = tuple
    arguments: frozenset[str] = frozenset()


class Causes:
    """Compares the vertices of one build with `past`."""

    def __init__(self, vertices: Sequence[Vertex], cache: CacheStore, past: Past) -> None:
        self._vertices = {vertex.id: vertex for vertex in vertices}
        self._cache = cache
        self._past = past
        self._index: Earlier | None = None
        self._siblings: dict[str, set[str]] = {}

    def seconds(self) -> dict[str, float]:
        """Return what running each vertex took when it was last run, as far as that is known."""
        found = {}
        for vertex in self._vertices.values():
            record = self._earlier(vertex)
            if record is not None:
                found[vertex.id] = record.cost
        return found

    def why(
        self,
        vertex: Vertex,
        documents: Mapping[str, str],
        key: CacheKey,
        manifests: Mapping[str, bytes],
    ) -> tuple[str, ...]:
        """Return why `vertex` is not in the cache under `key`.

        `documents`: the key documents of this build by vertex; `manifests`: those of this step.
        """
        if not self._builds():
            return (FIRST_BUILD,)
        record = self._earlier(vertex)
        if record is None:
            return (NEW_STEP,)
        if record.key == key:
            return (f"{record.outcome} last time" if _ended_badly(record) else GONE,)
        old = record.document or self._cache.document(CacheKey(record.key))
        if old is None:
            return (FORGOTTEN,)
        reasons = explain(
            old, documents[vertex.id], self._both(manifests), arguments=self._past.arguments
        )
        if PARENT_CHANGED in reasons:
            base = self._base(vertex, documents)
            reasons = [one for one in reasons if one != PARENT_CHANGED] + (base or [PARENT_CHANGED])
        return tuple(reasons)

    def own(
        self, vertex: Vertex, identity: Identity, manifests: Mapping[str, bytes]
    ) -> tuple[str, ...]:
        """Return what is new of `vertex` if that on which it stands should come out as before.

        Empty also when nothing is known of before.
        """
        record = self._earlier(vertex) if self._builds() else None
        if record is None:
            return (NEW_STEP,) if self._builds() else ()
        old = record.document or self._cache.document(CacheKey(record.key))
        if old is None:
            return ()
        inputs = (below_of(old), *identity.inputs[1:])
        new = key_document(vertex.op, inputs, identity.parts)
        return tuple(explain(old, new, self._both(manifests), arguments=self._past.arguments))

    def _base(self, vertex: Vertex, documents: Mapping[str, str]) -> list[str]:
        """Return what happened to the base image when `vertex` stands directly on one."""
        parent = self._vertices[vertex.inputs[0]] if vertex.inputs and vertex.inputs[0] else None
        if parent is None or not isinstance(parent.op, ImageOp) or parent.id not in documents:
            return []
        record = self._earlier(parent)
        if record is None or not record.document:
            return []
        return explain(record.document, documents[parent.id])

    def _both(self, manifests: Mapping[str, bytes]) -> Manifests:
        """Look for a manifest among those of this step, then in the cache."""
        return lambda digest: manifests.get(digest) or self._cache.manifest(digest)

    def _earlier(self, vertex: Vertex) -> StepRecord | None:
        step = StepRecord(
            number=vertex.number,
            name=vertex.label,
            stage=vertex.stage,
            kind=TYPES[type(vertex.op)],
            outcome="unreached",
        )
        return self._builds().of(step, self._siblings[vertex.stage])

    def _builds(self) -> Earlier:
        if self._index is None:
            self._index = Earlier(self._past.builds())
            for one in self._vertices.values():
                self._siblings.setdefault(one.stage, set()).add(instruction(one.label))
        return self._index


def _ended_badly(record: StepRecord) -> bool:
    return record.outcome in ("failed", "cancelled")
