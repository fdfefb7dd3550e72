import pytest

from buildkit.errors import ContextError
from buildkit.llb.graph import Graph
from buildkit.solver.causes import Past
from buildkit.solver.plan import needs_nothing, plan, seconds_of
from buildkit.solver.policy import CachePolicy
from tests.buildkit.solver.fakes import FakeOps, Plan
from tests.buildkit.solver.test_solve import Machine


def planned(machine: Machine, graph: Graph, target: str, **policy: object) -> list[str]:
    """Return a line a step: its verdict, what it does, and why."""
    ran = list(machine.ops.ran)
    found = plan(
        graph,
        target,
        machine.ops,
        machine.cache,
        policy=CachePolicy(**policy),  # type: ignore[arg-type]
        past=Past(lambda: machine.builds[::-1]),
    )
    assert machine.ops.ran == ran
    return [
        f"{one.verdict} {one.vertex.label.partition('] ')[2]}"
        + (f": {', '.join(one.why)}" if one.why else "")
        for one in found
    ]


def app(*commands: str, link: bool = False, chown: str = "") -> tuple[Graph, str]:
    draft = Plan()
    context = draft.context()
    name = draft.base()
    for command in commands:
        name = draft.run(name, command)
    copied = draft.copy(name, context, "src", link=link, chown=chown)
    return draft.graph, draft.run(copied, "last")


def machine_with(content: str = "one") -> Machine:
    return Machine(FakeOps({"src": content}))


def test_a_first_build_runs_its_first_step_and_all_behind_it_may() -> None:
    assert planned(machine_with(), *app("make")) == [
        "hit ImageOp",
        "miss make: not built before",
        "maybe CopyOp: behind #2",
        "maybe last: behind #2",
    ]


def test_nothing_is_to_do_after_a_build() -> None:
    machine = machine_with()
    machine.build(*app("make"))
    assert planned(machine, *app("make")) == ["hit ImageOp", "hit make", "hit CopyOp", "hit last"]


def test_what_is_new_of_a_step_behind_a_miss_is_told_as_well() -> None:
    machine = machine_with()
    machine.build(*app("make"))
    machine.ops.files["src"] = "two"
    assert planned(machine, *app("make all")) == [
        "hit ImageOp",
        "miss make all: command changed",
        "maybe CopyOp: behind #2, copied files changed",
        "maybe last: behind #2",
    ]


@pytest.mark.parametrize(
    ("chown", "verdict"),
    [
        ("", "hit CopyOp"),
        ("5", "hit CopyOp"),
        ("5:6", "hit CopyOp"),
        ("app", "maybe CopyOp: behind #2"),
        ("5:staff", "maybe CopyOp: behind #2"),
    ],
)
def test_a_linked_copy_depends_on_what_it_stands_on_for_names_only(
    chown: str, verdict: str
) -> None:
    machine = machine_with()
    machine.build(*app("make", link=True, chown=chown))
    assert planned(machine, *app("make all", link=True, chown=chown)) == [
        "hit ImageOp",
        "miss make all: command changed",
        verdict,
        "maybe last: behind #2",
    ]


def test_a_step_that_may_not_be_taken_from_the_cache_is_a_miss_wherever_it_stands() -> None:
    machine = machine_with()
    machine.build(*app("make"))
    assert planned(machine, *app("make"), steps=("2", "4")) == [
        "hit ImageOp",
        "miss make: --no-cache-step=2",
        "maybe CopyOp: behind #2",
        "miss last: --no-cache-step=4",
    ]


def test_the_time_of_earlier_runs_is_expected() -> None:
    machine = machine_with()
    machine.build(*app("make"))
    costs = {2: 8.0, 3: 1.0, 4: 0.5}
    steps = tuple(
        step._replace(cost=costs.get(step.number, 0.0)) for step in machine.builds[0].steps
    )
    machine.builds[0] = machine.builds[0]._replace(steps=steps)
    found = plan(
        *app("make all"),
        machine.ops,
        machine.cache,
        policy=CachePolicy(),
        past=Past(lambda: machine.builds),
    )
    assert not needs_nothing(found)
    assert seconds_of(found, "miss") == 8.0
    assert seconds_of(found, "miss", "maybe") == 9.5


def test_what_cannot_be_looked_up_is_an_error() -> None:
    machine = machine_with()

    def fail(*_: object) -> None:
        raise ContextError("gone")

    machine.ops.identify = fail  # type: ignore[assignment,method-assign]
    with pytest.raises(ContextError, match="gone"):
        planned(machine, *app("make"))
