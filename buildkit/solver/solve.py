"""Finds or makes the result of each vertex: order, threads, and what became of each.

In: a graph and its target, the operations and the cache by their Protocols. Out: `Result`, which
has a record of every step, whatever became of the build. A graph that is wholly cached is walked
in the calling thread and starts no other; what misses goes to worker threads, `jobs` at a time,
what holds up most work first. The first failure stops the others.
"""

from __future__ import annotations

import os
import time
from heapq import heappop, heappush

from buildkit.errors import BuildError, Cancelled
from buildkit.llb.op import ContextOp, ExecOp, GitOp, HttpOp
from buildkit.progress.events import Emit, StepCached, StepFailed, StepStarted
from buildkit.solver import account
from buildkit.solver.causes import Causes, Past
from buildkit.solver.policy import CachePolicy
from buildkit.solver.schedule import Schedule, critical_paths, needed_by
from buildkit.solver.step import Broken, End, Hit, Made, Miss, Step, StepLogs
from grammar.urls import redacted
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildkit.cache.key import CacheKey
    from buildkit.cache.result import Ref
    from buildkit.cache.store import CacheStore
    from buildkit.llb.graph import Graph, Target, Vertex
    from buildkit.progress.cancel import Cancel
    from buildkit.records.record import StepRecord
    from buildkit.solver.ops import Ops
    from buildkit.solver.workers import Workers


class Result(NamedTuple):
    """What became of a graph, by name of vertex, and a record of each step by number.

    `created`: RFC 3339 times for the history, missing where the result has none of its own.
    `keys`: cache keys of what has a result.
    `error`: what failed first; None when everything has its result.
    """

    refs: Mapping[str, Ref]
    created: Mapping[str, str]
    keys: Mapping[str, CacheKey]
    steps: tuple[StepRecord, ...]
    error: BaseException | None


def solve(
    graph: Graph,
    target: Target,
    ops: Ops,
    cache: CacheStore,
    emit: Emit,
    *,
    jobs: int,
    cancel: Cancel,
    policy: CachePolicy | None = None,
    past: Past | None = None,
    logs: StepLogs | None = None,
) -> Result:
    """Find or make the result of `target` (None: scratch) and of all that it needs.

    `jobs` steps run at once. Returns also when a step failed or `cancel` was set, after all other
    steps have ended; what is no affair of a step (KeyboardInterrupt) is raised, after the same.
    """
    order = graph.only(target).order()
    causes = Causes(order, cache, past or Past())
    step = Step(ops, cache, emit, cancel, policy or CachePolicy(), causes, logs or StepLogs())
    return _Solver(order, step, max(1, jobs)).solve()


class _Solver:
    """The state of one solve; all of it belongs to the calling thread."""

    def __init__(self, order: Sequence[Vertex], step: Step, jobs: int) -> None:
        self._vertices = {vertex.id: vertex for vertex in order}
        self._inputs = {vertex.id: vertex.inputs for vertex in order}
        self._schedule = Schedule(list(self._inputs), self._inputs)
        self._step = step
        self._jobs = jobs
        self._workers: Workers[End] | None = None
        self._refs: dict[str, Ref] = {}
        self._created: dict[str, str] = {}
        self._keys: dict[str, CacheKey] = {}
        self._records: dict[str, StepRecord] = {}
        self._begun: dict[str, float] = {}
        self._hits: list[CacheKey] = []
        self._misses: list[tuple[tuple[float, int], str, Miss]] = []
        self._alike: dict[CacheKey, list[Vertex]] = {}
        self._making: dict[str, Miss] = {}
        self._ranked = False
        self._before_runs: set[str] = set()
        """What a RUN needs, and the RUNs, from the first miss on until one of these is missed."""
        self._error: BaseException | None = None

    def solve(self) -> Result:
        """Walk the graph to its end, or to the first failure."""
        try:
            self._walk()
        except BaseException:
            self._step.cancel.set()
            raise
        finally:
            if self._workers is not None:
                self._workers.close()
        self._settle()
        return Result(
            refs=self._refs,
            created=self._created,
            keys=self._keys,
            steps=account.in_order(self._records, self._vertices),
            error=self._error,
        )

    def _walk(self) -> None:
        while not self._schedule.finished():
            if self._step.cancel.is_set():
                self._stop(Cancelled(self._step.cancel.signal))
            name = self._schedule.take()
            if name is not None:
                self._begin(self._vertices[name])
            self._make_next()
            active = self._workers is not None and self._workers.active > 0
            if active:
                self._collect(wait=name is None)
            elif name is None:
                return

    def _begin(self, vertex: Vertex) -> None:
        """Look `vertex` up, in a worker when that asks the network."""
        if vertex.id not in self._begun:
            self._begun[vertex.id] = now = time.time()
            self._step.say(vertex, StepStarted(vertex.number, vertex.label, now))
        inputs = tuple(None if one is None else self._refs[one] for one in vertex.inputs)
        if isinstance(vertex.op, (HttpOp, GitOp)):
            self._pool().start(vertex.id, lambda: self._step.look(vertex, inputs))
        else:
            self._ended(vertex, self._step.look(vertex, inputs))

    def _make_next(self) -> None:
        """Start what was missed, the most urgent first, as far as `jobs` go."""
        while self._misses and self._error is None and len(self._making) < self._jobs:
            _, name, miss = heappop(self._misses)
            self._making[name] = miss
            self._pool().start(name, lambda miss=miss: self._step.make(miss))  # type: ignore[misc]

    def _collect(self, *, wait: bool) -> None:
        """Take the ends of tasks: at least one if `wait`."""
        workers = self._pool()
        finished = workers.take() if wait else workers.poll()
        while finished is not None:
            vertex = self._vertices[finished.tag]
            self._making.pop(vertex.id, None)
            if finished.error is not None:  # not of the step: look and make catch those
                raise finished.error
            assert finished.value is not None
            self._ended(vertex, finished.value)
            finished = workers.poll()

    def _ended(self, vertex: Vertex, end: End) -> None:
        match end:
            case Hit():
                self._hit(vertex, end)
            case Miss():
                self._missed(vertex, end)
            case Made():
                self._made(vertex, end)
            case Broken():
                self._broke(vertex, end)
            case _:
                assert_never(end)

    def _hit(self, vertex: Vertex, hit: Hit) -> None:
        self._step.say(vertex, StepCached(vertex.number, vertex.label))
        self._refs[vertex.id] = hit.ref
        self._keys[vertex.id] = hit.key
        if hit.record is not None:
            self._created[vertex.id] = hit.record.created
            self._hits.append(hit.key)
        self._records[vertex.id] = account.of_hit(vertex, hit, self._begun[vertex.id])
        self._schedule.done(vertex.id)
        self._look_again(hit.key)

    def _missed(self, vertex: Vertex, miss: Miss) -> None:
        """Queue `miss`, or let it wait for an equal one that is on its way."""
        if not self._ranked:
            self._ranked = True
            seconds = self._step.causes.seconds()
            order = list(self._vertices)
            self._schedule.prefer(critical_paths(order, self._inputs, seconds))
            runs = [one.id for one in self._vertices.values() if isinstance(one.op, ExecOp)]
            self._before_runs = needed_by(order, self._inputs, runs)
        if vertex.id in self._before_runs:
            # What is behind it will probably have to run as well.
            self._before_runs.clear()
            self._step.expect_sandboxes()
        if miss.key in self._alike:
            self._alike[miss.key].append(vertex)
            return
        self._alike[miss.key] = []
        heappush(self._misses, (self._schedule.rank(vertex.id), vertex.id, miss))

    def _made(self, vertex: Vertex, made: Made) -> None:
        self._refs[vertex.id] = made.outcome.ref
        self._keys[vertex.id] = made.run.key
        self._created[vertex.id] = made.outcome.created
        self._records[vertex.id] = account.of_made(vertex, made)
        self._step.made.add(made.run.key)
        self._schedule.done(vertex.id)
        self._look_again(made.run.key)

    def _look_again(self, key: CacheKey) -> None:
        """Have those looked up that waited for `key`; their inputs may still differ (--link)."""
        for vertex in self._alike.pop(key, ()):
            self._begin(vertex)

    def _broke(self, vertex: Vertex, broken: Broken) -> None:
        cancelled = isinstance(broken.error, Cancelled) or not broken.by_itself
        seconds = broken.run.seconds if broken.run is not None else 0.0
        message = "cancelled" if cancelled else message_of(broken.error)
        event = StepFailed(vertex.number, vertex.label, seconds, message, cancelled)
        self._step.say(vertex, event)
        document = self._step.documents.get(vertex.id, "")
        self._records[vertex.id] = account.of_broken(
            vertex, broken, document, message, cancelled=cancelled
        )
        self._stop(Cancelled(self._step.cancel.signal) if cancelled else broken.error)

    def _stop(self, error: BaseException) -> None:
        """Begin nothing any more, and have what runs end."""
        self._error = self._error or error
        self._step.cancel.set()
        self._schedule.stop()

    def _settle(self) -> None:
        """Account for what was left undone; note what was used."""
        for vertex in self._vertices.values():
            if isinstance(vertex.op, ContextOp):
                self._records.pop(vertex.id, None)
                continue
            if vertex.id in self._records:
                continue
            begun = self._begun.get(vertex.id)
            if begun is not None:
                event = StepFailed(vertex.number, vertex.label, 0.0, "cancelled", cancelled=True)
                self._step.say(vertex, event)
            document = self._step.documents.get(vertex.id, "")
            self._records[vertex.id] = account.of_undone(vertex, document, begun)
        self._step.touch(self._hits)

    def _pool(self) -> Workers[End]:
        if self._workers is None:
            # threading and queue: a build that is wholly cached needs neither
            from buildkit.solver.workers import Workers

            self._workers = Workers()
        return self._workers


def message_of(error: BaseException) -> str:
    """Return what a failed step says of itself in one line."""
    if isinstance(error, BuildError):
        return redacted(error.message)
    if isinstance(error, OSError) and error.strerror:
        # It may also be the number of a descriptor.
        named = isinstance(error.filename, str | bytes)
        place = f"{os.fsdecode(error.filename)}: " if named else ""
        return f"{place}{error.strerror.lower()}"
    return str(error) or type(error).__name__
