"""What a build would do: for each step whether it is there, has to run, or depends on one that has.

In: a graph, the operations and the cache, as for `solve`. Out: one `Planned` a step, in order.
Looks things up and runs nothing. A step behind one that has to run may still be found, since that
one may give what it gave before (early cutoff): nobody can know, so it is a `maybe`.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.cache.result import Ref
from buildkit.cache.store import CacheStore
from buildkit.llb.graph import Graph, Target, Vertex
from buildkit.llb.op import CopyOp, stands_alone
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event
from buildkit.solver.causes import Causes, Past
from buildkit.solver.ops import Ops
from buildkit.solver.policy import CachePolicy
from buildkit.solver.step import Broken, Hit, Made, Miss, Step, StepLogs
from runtime.typed import Literal, assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Verdict: TypeAlias = Literal["hit", "miss", "maybe"]


class Planned(NamedTuple):
    """What would become of a step. `why`: of a miss its causes, of a maybe what it is behind, and
    what of its own is new. `seconds`: what it took when it last ran, None where that is not known.
    """

    vertex: Vertex
    verdict: Verdict
    why: tuple[str, ...]
    seconds: float | None


def plan(
    graph: Graph,
    target: Target,
    ops: Ops,
    cache: CacheStore,
    *,
    policy: CachePolicy,
    past: Past,
) -> tuple[Planned, ...]:
    """Return what `solve` would do for the same arguments.

    Raises what looking a step up raises: a source of COPY that is not there, say.
    """
    order = graph.only(target).order()
    with Cancel() as cancel:
        causes = Causes(order, cache, past)
        step = Step(ops, cache, _silent, cancel, policy, causes, StepLogs())
        return _Planning(order, ops, step).plan()


class _Planning:
    def __init__(self, order: Sequence[Vertex], ops: Ops, step: Step) -> None:
        self._order = order
        self._ops = ops
        self._step = step
        self._refs: dict[str | None, Ref | None] = {None: None}
        self._behind: dict[str, dict[int, None]] = {}
        """For vertices whose result is not known: the numbers of the misses they depend on."""

    def plan(self) -> tuple[Planned, ...]:
        planned = [self._one(vertex) for vertex in self._order]
        seconds = self._step.causes.seconds() if any(self._behind) else {}
        seen = [
            one._replace(seconds=seconds.get(one.vertex.id)) for one in planned if one.vertex.number
        ]
        return tuple(sorted(seen, key=lambda one: one.vertex.number))

    def _one(self, vertex: Vertex) -> Planned:
        unknown = [name for name in vertex.inputs if name is not None and name in self._behind]
        alone = stands_alone(vertex.op) and unknown == [vertex.inputs[0]]
        if unknown and not alone:
            return self._maybe(vertex, unknown)
        inputs = tuple(self._refs.get(name) for name in vertex.inputs)
        end = self._step.look(vertex, inputs)
        match end:
            case Hit():
                if unknown:  # a linked copy is there, on a stack that is not yet known
                    self._behind[vertex.id] = self._misses(unknown)
                self._refs[vertex.id] = end.ref
                return Planned(vertex, "hit", (), None)
            case Miss():
                manifests = {name: read() for name, read in end.identity.manifests.items()}
                why = self._step.why(end, manifests)
                self._behind[vertex.id] = {vertex.number: None}
                return Planned(vertex, "miss", why, None)
            case Broken(error=error):
                raise error
            case Made():
                raise AssertionError("looking up makes nothing")
            case _:
                assert_never(end)

    def _maybe(self, vertex: Vertex, unknown: Sequence[str]) -> Planned:
        self._behind[vertex.id] = behind = self._misses(unknown)
        refusal = self._step.policy.refusal(vertex)
        if refusal:
            self._behind[vertex.id] = {vertex.number: None}
            return Planned(vertex, "miss", (refusal,), None)
        why = "behind " + ", ".join(f"#{number}" for number in behind)
        own: tuple[str, ...] = ()
        if unknown == [vertex.inputs[0]] and not _needs_owner(vertex):
            own = self._own(vertex)
        return Planned(vertex, "maybe", (why, *own), None)

    def _own(self, vertex: Vertex) -> tuple[str, ...]:
        """Return what is new of the step itself, whatever it will stand on."""
        inputs = (None, *(self._refs.get(name) for name in vertex.inputs[1:]))
        identity = self._ops.identify(vertex, inputs)
        manifests = {name: read() for name, read in identity.manifests.items()}
        return self._step.causes.own(vertex, identity, manifests)

    def _misses(self, unknown: Sequence[str]) -> dict[int, None]:
        return {number: None for name in unknown for number in self._behind[name]}


def _needs_owner(vertex: Vertex) -> bool:
    """Say whether the key holds who an owner is, which only what is below can tell."""
    op = vertex.op
    return isinstance(op, CopyOp) and op.link and not stands_alone(op)


def needs_nothing(planned: Sequence[Planned]) -> bool:
    """Tell whether nothing would run."""
    return all(one.verdict == "hit" for one in planned)


def seconds_of(planned: Sequence[Planned], *verdicts: Verdict) -> float:
    """Return what the steps with one of `verdicts` took, as far as that is known."""
    return sum(one.seconds or 0.0 for one in planned if one.verdict in verdicts)


def _silent(_event: Event) -> None:
    """Show nothing: a plan is told as a whole."""
