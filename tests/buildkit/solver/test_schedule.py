from hypothesis import given
from hypothesis import strategies as st

from buildkit.solver.schedule import Schedule, critical_paths, needed_by

DIAMOND = {
    "base": (None,),
    "left": ("base",),
    "right": ("base",),
    "join": ("left", "right", "left"),
}


def taken(schedule: Schedule) -> list[str]:
    names = []
    while (name := schedule.take()) is not None:
        names.append(name)
    return names


def test_a_vertex_is_ready_when_all_its_inputs_are_done() -> None:
    schedule = Schedule(list(DIAMOND), DIAMOND)
    assert taken(schedule) == ["base"]
    schedule.done("base")
    assert taken(schedule) == ["left", "right"]
    schedule.done("left")
    assert taken(schedule) == []
    schedule.done("right")
    assert taken(schedule) == ["join"]
    assert not schedule.finished()
    schedule.done("join")
    assert schedule.finished()


def test_the_longest_chain_goes_first_once_it_is_known() -> None:
    schedule = Schedule(list(DIAMOND), DIAMOND)
    schedule.prefer(critical_paths(list(DIAMOND), DIAMOND, {"left": 1.0, "right": 5.0}))
    schedule.take()
    schedule.done("base")
    assert taken(schedule) == ["right", "left"]
    assert schedule.rank("right") < schedule.rank("left")


def test_a_critical_path_counts_a_vertex_and_the_longest_way_behind_it() -> None:
    seconds = {"base": 1.0, "left": 2.0, "right": 5.0, "join": 10.0}
    assert critical_paths(list(DIAMOND), DIAMOND, seconds) == {
        "base": 16.0,
        "left": 12.0,
        "right": 15.0,
        "join": 10.0,
    }


def test_what_some_need_is_found_whatever_lies_between() -> None:
    assert needed_by(list(DIAMOND), DIAMOND, ["left"]) == {"base", "left"}
    assert needed_by(list(DIAMOND), DIAMOND, ["join"]) == set(DIAMOND)
    assert needed_by(list(DIAMOND), DIAMOND, []) == set()


def test_stopped_it_hands_out_nothing() -> None:
    schedule = Schedule(list(DIAMOND), DIAMOND)
    schedule.stop()
    assert schedule.take() is None


@given(st.lists(st.sets(st.integers(0, 30), max_size=4), max_size=30))
def test_every_vertex_is_handed_out_once_and_after_its_inputs(
    needs: list[set[int]],
) -> None:
    inputs = {
        str(name): tuple(str(one) for one in needed if one < name)
        for name, needed in enumerate(needs)
    }
    schedule = Schedule(list(inputs), inputs)
    done: set[str] = set()
    while (name := schedule.take()) is not None:
        assert name not in done
        assert done.issuperset(inputs[name])
        done.add(name)
        schedule.done(name)
    assert schedule.finished()
    assert done == set(inputs)
