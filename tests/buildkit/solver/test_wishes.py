"""What comments like `# pybuild: retry=2` make the solver do."""

import time

import pytest

from buildkit.errors import Cancelled, StepError
from buildkit.llb.graph import Graph
from buildkit.llb.wishes import Wishes
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Warned
from buildkit.progress.reporter import StepReporter
from buildkit.solver.policy import CachePolicy
from tests.buildkit.solver.fakes import Plan, execute
from tests.buildkit.solver.test_solve import Machine


def graph(wishes: Wishes) -> tuple[Graph, str]:
    plan = Plan()
    first = plan.add(execute("one"), plan.base(), wishes=wishes)
    return plan.graph, plan.run(first, "two")


def test_a_step_that_wants_no_cache_runs_each_time_and_nothing_behind_it() -> None:
    machine = Machine()
    machine.build(*graph(Wishes(no_cache=True)))
    machine.build(*graph(Wishes(no_cache=True)))
    assert machine.ops.ran == ["one"]
    assert machine.whys()["one"] == "# pybuild: no-cache"


def test_a_wish_changes_no_key() -> None:
    machine = Machine()
    machine.build(*graph(Wishes()))
    machine.build(*graph(Wishes(retry=2, timeout=5, ttl=3600)))
    assert machine.ops.ran == []


def test_a_result_older_than_its_ttl_is_made_again() -> None:
    machine = Machine()
    machine.build(*graph(Wishes(ttl=3600)))
    for key, record in machine.cache.steps.items():
        machine.cache.steps[key] = record._replace(made=time.time() - 7200)
    machine.build(*graph(Wishes(ttl=3600)))
    assert machine.ops.ran == ["one"]
    assert machine.whys()["one"] == "ttl=1h is over, made 2h ago"
    machine.build(*graph(Wishes(ttl=3600)))
    assert machine.ops.ran == []


def test_a_failure_is_tried_again() -> None:
    machine = Machine()
    failures = ["first", "second"]

    def script(_reporter: StepReporter, _cancel: Cancel) -> None:
        if failures:
            raise StepError(failures.pop(0))

    machine.ops.scripts["one"] = script
    result = machine.build(*graph(Wishes(retry=2)))
    assert result.error is None
    assert machine.ops.ran == ["one", "one", "one", "two"]
    told = [event.message for event in machine.events.all if isinstance(event, Warned)]
    assert told == [
        "[build 2/9] one: first; trying again (1 of 2)",
        "[build 2/9] one: second; trying again (2 of 2)",
    ]


def test_the_last_failure_counts() -> None:
    machine = Machine()

    def script(_reporter: StepReporter, _cancel: Cancel) -> None:
        raise StepError("no")

    machine.ops.scripts["one"] = script
    result = machine.build(*graph(Wishes(retry=1)))
    assert isinstance(result.error, StepError)
    assert machine.ops.ran == ["one", "one"]


def test_a_step_that_takes_too_long_fails() -> None:
    machine = Machine()

    def script(_reporter: StepReporter, cancel: Cancel) -> None:
        assert cancel.wait(30)
        raise Cancelled(0)

    machine.ops.scripts["one"] = script
    result = machine.build(*graph(Wishes(timeout=1)))
    assert isinstance(result.error, StepError)
    assert result.error.message == "timed out after 1s"
    assert [step.outcome for step in result.steps] == ["cached", "failed", "unreached"]


@pytest.mark.parametrize("named", ["2", "ONE", "build 2/9"])
def test_a_step_named_on_the_command_line_runs_again(named: str) -> None:
    machine = Machine()
    machine.build(*graph(Wishes()))
    machine.build(*graph(Wishes()), policy=CachePolicy(steps=(named,)))
    assert machine.ops.ran == ["one"]
    assert machine.whys()["one"] == f"--no-cache-step={named}"


def test_names_that_mean_no_step_are_found() -> None:
    vertices = list(graph(Wishes())[0])
    assert CachePolicy(steps=("2", "three", "TWO")).unused(vertices) == ["three"]
