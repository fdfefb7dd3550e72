import errno
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from buildkit.cache.key import CacheKey
from buildkit.cache.result import Identity, Ref
from buildkit.cache.store import CachedStep
from buildkit.errors import Cancelled, ContextError, StepError, StoreError
from buildkit.llb.graph import Graph, Vertex
from buildkit.llb.op import HttpOp
from buildkit.oci.digest import Digest
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.snapshot.snapshot import Snapshot
from buildkit.solver.causes import Past
from buildkit.solver.policy import CachePolicy
from buildkit.solver.solve import Result, message_of, solve
from buildkit.solver.step import StepLogs
from runtime.errors import SpecError
from tests.buildkit.solver.fakes import CREATED, Events, FakeOps, MemoryCache, Plan, chain

Script = Callable[[StepReporter, Cancel], None]


class Machine:
    """What several builds after one another share."""

    def __init__(self, ops: FakeOps | None = None) -> None:
        self.ops = ops or FakeOps()
        self.cache = MemoryCache()
        self.events = Events()
        self.builds: list[BuildRecord] = []

    def build(
        self,
        graph: Graph,
        target: str | None,
        *,
        jobs: int = 2,
        policy: CachePolicy | None = None,
        cancel: Cancel | None = None,
        arguments: Sequence[str] = (),
        logs: StepLogs | None = None,
    ) -> Result:
        self.ops.ran.clear()
        self.events.all.clear()
        result = solve(
            graph,
            target,
            self.ops,
            self.cache,
            self.events,
            jobs=jobs,
            cancel=cancel or Cancel(),
            policy=policy,
            past=Past(lambda: self.builds[::-1], frozenset(arguments)),
            logs=logs,
        )
        self.builds.append(
            BuildRecord(
                id=str(len(self.builds)),
                identity="",
                dockerfile="",
                context="",
                target="",
                platform="",
                started=0.0,
                ended=0.0,
                outcome="failed" if result.error else "done",
                steps=result.steps,
            )
        )
        return result

    def whys(self) -> dict[str, str]:
        return {
            step.name.partition("] ")[2]: ", ".join(step.why)
            for step in self.builds[-1].steps
            if step.why
        }


def outcomes(result: Result) -> list[str]:
    return [step.outcome for step in result.steps]


def raises(error: Exception) -> Script:
    def script(reporter: StepReporter, cancel: Cancel) -> None:
        raise error

    return script


def test_everything_is_run_once_and_then_nothing() -> None:
    machine = Machine()
    graph, target = chain(3)
    first = machine.build(graph, target)
    assert machine.ops.ran == ["command 0", "command 1", "command 2"]
    assert outcomes(first) == ["cached", "run", "run", "run"]
    second = machine.build(graph, target)
    assert machine.ops.ran == []
    assert outcomes(second) == ["cached"] * 4
    assert second.refs == first.refs
    assert second.created[target] == CREATED
    assert first.error is second.error is None
    assert [step.cost for step in first.steps] == [step.cost for step in second.steps]


def test_a_cached_graph_is_walked_without_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    graph, target = chain(3)
    machine.build(graph, target)
    assert threading.get_ident() not in machine.ops.threads
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))
    machine.build(graph, target)
    assert machine.cache.touched == [step.key for step in machine.builds[-1].steps[1:]]


def test_sandboxes_are_expected_when_a_run_lies_behind_the_first_miss() -> None:
    machine = Machine(FakeOps({"a": "1", "z": "1"}))
    plan = Plan()
    context = plan.context()
    copied = plan.copy(plan.base(), context, "a")
    ran = plan.run(copied, "make")
    target = plan.copy(ran, context, "z")
    machine.build(plan.graph, target)
    machine.build(plan.graph, target)
    assert machine.ops.expecting == [()]  # once, before all that is carried out
    machine.ops.files["z"] = "2"  # behind the RUN
    machine.build(plan.graph, target)
    assert machine.ops.ran == ["CopyOp"]
    assert machine.ops.expecting == [()]
    machine.ops.files["a"] = "2"
    machine.build(plan.graph, target)
    assert machine.ops.ran == ["CopyOp", "make", "CopyOp"]
    assert machine.ops.expecting == [(), ()]


def test_no_target_is_no_work() -> None:
    result = Machine().build(Graph(), None)
    assert (dict(result.refs), result.steps, result.error) == ({}, (), None)


def test_only_what_the_target_needs_is_touched() -> None:
    machine = Machine()
    plan = Plan()
    base = plan.base()
    plan.run(base, "unused")
    target = plan.run(base, "used")
    machine.build(plan.graph, target)
    assert machine.ops.ran == ["used"]
    assert "unused" not in machine.ops.identified


def test_events_of_a_run_and_of_a_hit() -> None:
    machine = Machine()
    graph, target = chain(1)
    machine.build(graph, target)
    assert machine.events.tell() == [
        "#1 StepStarted",
        "#1 StepCached",
        "#2 StepStarted",
        "#2 StepMissed",
        "#2 StepDone",
    ]
    machine.build(graph, target)
    assert machine.events.tell()[2:] == ["#2 StepStarted", "#2 StepCached"]


def test_the_same_content_from_a_changed_step_keeps_what_is_behind_it() -> None:
    machine = Machine()
    machine.ops.results = {"make": "binary", "make -j": "binary"}
    for command, expected in (("make", ["make", "test"]), ("make -j", ["make -j"])):
        plan = Plan()
        target = plan.run(plan.run(plan.base(), command), "test")
        machine.build(plan.graph, target)
        assert machine.ops.ran == expected


def test_a_changed_file_reruns_only_what_depends_on_it() -> None:
    machine = Machine(FakeOps({"src": "1", "doc": "1"}))
    plan = Plan()
    base, context = plan.base(), plan.context()
    built = plan.run(plan.copy(base, context, "src"), "make")
    described = plan.run(plan.copy(base, context, "doc"), "pandoc")
    target = plan.run(built, "join", described)
    machine.build(plan.graph, target)
    machine.ops.files["src"] = "2"
    result = machine.build(plan.graph, target)
    assert machine.ops.ran == ["CopyOp", "make", "join"]
    assert result.error is None


def test_a_layer_that_is_gone_is_a_miss_that_says_so() -> None:
    machine = Machine()
    graph, target = chain(2)
    machine.build(graph, target)
    machine.ops.gone = {Digest.of(b"command 0")}
    machine.build(graph, target)
    assert machine.ops.ran == ["command 0"]
    assert machine.whys() == {"command 0": "its result is no longer in the store"}


def test_independent_steps_run_at_the_same_time() -> None:
    machine = Machine()
    meeting = threading.Barrier(2, timeout=60)
    plan = Plan()
    base = plan.base()
    sides = [plan.run(base, name) for name in ("left", "right")]

    def meets(reporter: StepReporter, cancel: Cancel) -> None:
        meeting.wait()

    machine.ops.scripts = dict.fromkeys(("left", "right"), meets)
    assert machine.build(plan.graph, plan.run(sides[0], "join", sides[1])).error is None


def test_no_more_than_jobs_steps_run_at_once() -> None:
    machine = Machine()
    plan = Plan()
    base = plan.base()
    running = threading.Lock()

    def alone(reporter: StepReporter, cancel: Cancel) -> None:
        assert running.acquire(blocking=False)
        reporter.log(b"x\n")
        running.release()

    names = [f"side {number}" for number in range(6)]
    machine.ops.scripts = dict.fromkeys(names, alone)
    target = plan.run(base, "join", *[plan.run(base, name) for name in names])
    assert machine.build(plan.graph, target, jobs=1).error is None


def test_what_took_longest_before_is_started_first() -> None:
    machine = Machine()
    plan = Plan()
    base = plan.base()
    sides = [plan.run(base, name) for name in ("first", "short", "long")]
    target = plan.run(base, "join", *sides)
    machine.build(plan.graph, target, jobs=1)
    assert machine.ops.ran == ["first", "short", "long", "join"]
    steps = [
        step._replace(cost=9.0 if step.name.endswith("long") else 1.0)
        for step in machine.builds[0].steps
    ]
    machine.builds[0] = machine.builds[0]._replace(steps=tuple(steps))

    def until_all_are_known(reporter: StepReporter, cancel: Cancel) -> None:
        while machine.ops.identified.count("long") < 2:
            cancel.wait(0.01)

    machine.ops.scripts = {"first": until_all_are_known}
    machine.build(plan.graph, target, jobs=1, policy=CachePolicy(disabled=True))
    assert machine.ops.ran == ["first", "long", "short", "join"]


def test_equal_steps_of_one_graph_run_once() -> None:
    machine = Machine(FakeOps({"src": "1"}))
    plan = Plan()
    context = plan.context()
    base = plan.base()
    one = plan.copy(plan.run(base, "a"), context, "src", link=True)
    other = plan.copy(plan.run(base, "b"), context, "src", link=True)
    result = machine.build(plan.graph, plan.run(one, "join", other))
    assert sorted(machine.ops.ran) == ["CopyOp", "a", "b", "join"]
    assert result.error is None
    layers = [
        ref.diff_ids for ref in (result.refs[one], result.refs[other]) if isinstance(ref, Snapshot)
    ]
    assert layers[0][-1] == layers[1][-1]
    assert layers[0][-2] != layers[1][-2]
    machine.build(plan.graph, plan.run(one, "join", other), policy=CachePolicy(disabled=True))
    assert machine.ops.ran.count("CopyOp") == 1


def test_what_another_process_made_meanwhile_is_taken() -> None:
    machine, neighbour = Machine(), Machine()
    graph, target = chain(1)
    neighbour.build(graph, target)

    def others(key: CacheKey) -> None:
        machine.cache.steps.update(neighbour.cache.steps)

    machine.cache.others = others
    result = machine.build(graph, target)
    assert machine.ops.ran == []
    assert outcomes(result) == ["cached", "cached"]
    assert machine.events.tell()[2:] == ["#2 StepStarted", "#2 StepCached"]


def test_a_failure_stops_the_others_and_tells_which() -> None:
    machine = Machine()
    plan = Plan()
    base = plan.base()
    begun = threading.Event()

    def waits(reporter: StepReporter, cancel: Cancel) -> None:
        begun.set()
        while not cancel.wait(60):
            pass
        cancel.check()

    def fails(reporter: StepReporter, cancel: Cancel) -> None:
        assert begun.wait(60)
        reporter.log(b"one\ntwo\n", 2)
        raise StepError("exit code: 3")

    machine.ops.scripts = {"long": waits, "bad": fails}
    sides = [plan.run(base, name) for name in ("long", "bad")]
    target = plan.run(base, "join", *sides)
    result = machine.build(plan.graph, target)
    error = result.error
    assert isinstance(error, StepError)
    assert error.step == "[build 3/9] bad"
    assert error.lines == (3, 3)
    assert [line.partition(" ")[2] for line in error.log] == ["one", "two"]
    assert outcomes(result) == ["cached", "cancelled", "failed", "unreached"]
    ends = [line for line in machine.events.tell() if "Failed" in line]
    assert ends == ["#3 StepFailed exit code: 3", "#2 StepFailed cancelled"]
    assert machine.cache.steps == {}


def test_after_a_failure_nothing_is_begun_that_another_step_makes_possible() -> None:
    machine = Machine(FakeOps({"src": "1"}))
    plan = Plan()
    base, context = plan.base(), plan.context()
    begun = threading.Event()

    def finishes_all_the_same(reporter: StepReporter, cancel: Cancel) -> None:
        begun.set()
        cancel.wait(60)

    def fails(reporter: StepReporter, cancel: Cancel) -> None:
        begun.wait(60)
        raise StepError("exit code: 3")

    machine.ops.scripts = {"long": finishes_all_the_same, "bad": fails}
    after = plan.copy(plan.run(base, "long"), context, "src")
    result = machine.build(plan.graph, plan.run(after, "join", plan.run(base, "bad")))
    assert machine.ops.ran.count("CopyOp") == 0
    assert outcomes(result) == ["cached", "run", "unreached", "failed", "unreached"]
    assert "CopyOp" not in machine.ops.identified


def test_a_step_that_fails_because_it_was_killed_counts_as_cancelled() -> None:
    machine = Machine()
    plan = Plan()
    base = plan.base()
    begun = threading.Event()

    def killed(reporter: StepReporter, cancel: Cancel) -> None:
        begun.set()
        cancel.wait(60)
        raise StepError("exit code: 137")

    def fails(reporter: StepReporter, cancel: Cancel) -> None:
        begun.wait(60)
        raise StepError("exit code: 3")

    machine.ops.scripts = {"long": killed, "bad": fails}
    sides = [plan.run(base, name) for name in ("long", "bad")]
    result = machine.build(plan.graph, plan.run(base, "join", *sides))
    assert isinstance(result.error, StepError)
    assert result.error.message == "exit code: 3"
    assert outcomes(result) == ["cached", "cancelled", "failed", "unreached"]


def test_a_signal_ends_what_runs_and_is_what_the_build_ended_by() -> None:
    machine = Machine()
    graph, target = chain(2)
    cancel = Cancel()

    def interrupted(reporter: StepReporter, given: Cancel) -> None:
        cancel.set(signal.SIGTERM)
        raise StepError("killed")

    machine.ops.scripts = {"command 0": interrupted}
    result = machine.build(graph, target, cancel=cancel)
    assert isinstance(result.error, Cancelled)
    assert result.error.signal == signal.SIGTERM
    assert outcomes(result) == ["cached", "cancelled", "unreached"]


def test_a_signal_before_anything_ran_begins_nothing() -> None:
    machine = Machine()
    cancel = Cancel()
    cancel.set(signal.SIGINT)
    result = machine.build(*chain(2), cancel=cancel)
    assert outcomes(result) == ["unreached"] * 3
    assert isinstance(result.error, Cancelled)
    assert machine.events.all == []


def test_a_failed_step_is_not_cached_and_says_so_the_next_time() -> None:
    machine = Machine()
    graph, target = chain(2)
    machine.ops.scripts = {"command 1": raises(StepError("exit code: 1"))}
    machine.build(graph, target)
    machine.ops.scripts.clear()
    machine.build(graph, target)
    assert machine.ops.ran == ["command 1"]
    assert machine.whys() == {"command 1": "failed last time"}


@pytest.mark.parametrize(
    "error", [ContextError("src: not found"), OSError(28, "No space"), KeyError("x")]
)
def test_an_error_while_a_step_is_looked_up_or_run_is_its_failure(error: Exception) -> None:
    machine = Machine()
    graph, target = chain(1)
    machine.ops.scripts = {"command 0": raises(error)}
    result = machine.build(graph, target)
    assert result.error is error
    assert outcomes(result) == ["cached", "failed"]


def test_what_the_kernel_cannot_do_is_a_failure_of_the_step_with_its_place() -> None:
    machine = Machine()
    graph, target = chain(1)
    error = SpecError("too deep", hint="dig less")
    machine.ops.scripts = {"command 0": raises(error)}
    told = machine.build(graph, target).error
    assert isinstance(told, StepError)
    assert (told.message, told.hint, told.lines) == ("too deep", "dig less", (2, 2))
    assert told.__cause__ is error


def test_a_missing_source_fails_its_copy() -> None:
    machine = Machine()
    plan = Plan()
    target = plan.copy(plan.base(), plan.context(), "absent")
    result = machine.build(plan.graph, target)
    assert isinstance(result.error, KeyError)
    assert outcomes(result) == ["cached", "failed"]


def test_what_concerns_no_step_is_raised_after_all_have_ended() -> None:
    machine = Machine()
    plan = Plan()
    base, context = plan.base(), plan.context()
    ended = threading.Event()
    begun = threading.Event()

    def waits(reporter: StepReporter, cancel: Cancel) -> None:
        begun.set()
        cancel.wait(60)
        ended.set()

    class Interrupted(FakeOps):
        def identify(self, vertex: Vertex, inputs: Sequence[Ref | None]) -> Identity:
            if vertex.label.endswith("CopyOp"):
                assert begun.wait(60)
                raise KeyboardInterrupt
            return super().identify(vertex, inputs)

    machine.ops = Interrupted()
    machine.ops.scripts = {"long": waits}
    target = plan.copy(plan.run(base, "long"), context, "src")
    side = plan.copy(base, context, "src")
    with pytest.raises(KeyboardInterrupt):
        machine.build(plan.graph, plan.run(target, "join", side))
    assert ended.is_set()


def test_downloads_are_looked_up_beside_one_another() -> None:
    meeting = threading.Barrier(2, timeout=60)

    class Remote(FakeOps):
        def identify(self, vertex: Vertex, inputs: Sequence[Ref | None]) -> Identity:
            if isinstance(vertex.op, HttpOp):
                meeting.wait()
            return super().identify(vertex, (None,))

    machine = Machine(Remote())
    plan = Plan()
    files = [
        plan.add(HttpOp(url=f"https://example.com/{name}", filename=name, checksum=None), None)
        for name in "ab"
    ]
    target = plan.run(None, "join", *files)
    assert machine.build(plan.graph, target).error is None


def test_no_cache_runs_everything_and_stores_it() -> None:
    machine = Machine()
    graph, target = chain(2)
    machine.build(graph, target, policy=CachePolicy(disabled=True))
    machine.build(graph, target, policy=CachePolicy(disabled=True))
    assert machine.ops.ran == ["command 0", "command 1"]
    assert machine.whys() == {"command 0": "--no-cache", "command 1": "--no-cache"}
    machine.build(graph, target)
    assert machine.ops.ran == []


def test_a_stage_may_be_kept_from_the_cache_alone() -> None:
    machine = Machine()
    plan = Plan()
    base = plan.base()
    target = plan.run(plan.run(base, "a", stage="build"), "b", stage="final")
    machine.build(plan.graph, target)
    machine.build(plan.graph, target, policy=CachePolicy(stages=frozenset({"FINAL"})))
    assert machine.ops.ran == ["b"]
    assert machine.whys() == {"b": "--no-cache-filter=final"}


def test_a_log_is_kept_in_full_and_named_in_the_record(tmp_path: Path) -> None:
    machine = Machine()
    graph, target = chain(2)
    machine.ops.scripts = {"command 0": lambda reporter, _: reporter.log(b"text\n" * 1000)}
    logs = StepLogs(str(tmp_path), "b1")
    result = machine.build(graph, target, logs=logs)
    assert [step.log for step in result.steps] == ["", "b1-2.log", ""]
    assert (tmp_path / "b1-2.log").read_bytes() == b"text\n" * 1000
    again = machine.build(graph, target, logs=logs)
    assert [step.log for step in again.steps] == ["", "b1-2.log", ""]


def test_a_result_that_cannot_be_remembered_is_a_failure_of_its_step() -> None:
    machine = Machine()
    graph, target = chain(1)

    class Full(MemoryCache):
        def save(self, step: CachedStep, manifests: Mapping[str, bytes]) -> None:
            raise StoreError("state.db: database or disk is full")

    machine.cache = Full()
    result = machine.build(graph, target)
    assert isinstance(result.error, StoreError)
    assert outcomes(result) == ["cached", "failed"]


def test_every_step_has_a_record_also_when_it_was_not_reached() -> None:
    machine = Machine()
    graph, target = chain(4)
    machine.ops.scripts = {"command 1": raises(StepError("exit code: 1"))}
    result = machine.build(graph, target)
    assert [(step.number, step.outcome) for step in result.steps] == [
        (1, "cached"),
        (2, "run"),
        (3, "failed"),
        (4, "unreached"),
        (5, "unreached"),
    ]
    failed: StepRecord = result.steps[2]
    assert failed.message == "exit code: 1"
    assert failed.document
    assert failed.key


def test_records_tell_where_a_step_stands_and_what_it_was_made_from() -> None:
    plan = Plan()
    base = plan.base()
    run = plan.run(base, "make")
    copied = plan.copy(run, plan.context(), "a")
    machine = Machine(FakeOps({"a": "content"}))
    steps = machine.build(plan.graph, copied).steps
    assert [step.inputs for step in steps] == [("",), (0,), (1, "context context")]
    assert [step.lines for step in steps] == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/p"), "/p: no space left on device"),
        (OSError(errno.EISDIR, "Is a directory", 5), "is a directory"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_failed_step_says_why_in_one_line(error: BaseException, said: str) -> None:
    assert message_of(error) == said
