"""What is decided about a container that runs or has ended: restarts and health."""

import pytest

from runtime import health, restarts
from runtime.container import Check, HealthCheck, Restart, State


@pytest.mark.parametrize(
    ("policy", "code", "before", "stopped", "again"),
    [
        (Restart(), 1, 0, False, False),
        (Restart("always"), 0, 99, False, True),
        (Restart("always"), 0, 0, True, False),
        (Restart("unless-stopped"), 1, 0, False, True),
        (Restart("on-failure"), 0, 0, False, False),
        (Restart("on-failure"), 1, 99, False, True),
        (Restart("on-failure", 3), 1, 2, False, True),
        (Restart("on-failure", 3), 1, 3, False, False),
        (Restart("on-failure", 3), 137, 0, True, False),
    ],
)
def test_what_is_started_again(
    policy: Restart, code: int, before: int, stopped: bool, again: bool
) -> None:
    assert restarts.wanted(policy, code, before, stopped=stopped) == again


def test_what_fails_at_once_is_started_ever_more_slowly() -> None:
    delays = [0.0]
    for _ in range(12):
        delays.append(restarts.delay(delays[-1], lasted=0.1))
    assert delays[1:5] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert restarts.delay(60.0, lasted=11.0) == 0.1


CHECK = HealthCheck(("x",), interval=30, retries=2, start_period=60, start_interval=5)


def after(state: State, code: int, age: float) -> State:
    return health.after(CHECK, state, Check("", "", code, ""), age)


def test_some_failures_in_a_row_make_a_container_unhealthy() -> None:
    state = after(State("running", health="healthy"), 1, 100)
    assert (state.health, state.failing) == ("healthy", 1)
    state = after(state, 1, 130)
    assert (state.health, state.failing) == ("unhealthy", 2)
    state = after(state, 0, 160)
    assert (state.health, state.failing) == ("healthy", 0)


def test_failures_do_not_count_while_it_starts() -> None:
    state = State("running", health="starting")
    for age in (5, 10, 50):
        state = after(state, 1, age)
    assert (state.health, state.failing) == ("starting", 0)
    assert after(state, 0, 55).health == "healthy"


def test_a_container_is_looked_at_more_often_while_it_starts() -> None:
    starting = State("running", health="starting")
    assert health.first_delay(CHECK) == 5
    assert health.next_delay(CHECK, starting, 10) == 5
    assert health.next_delay(CHECK, starting, 61) == 30
    assert health.next_delay(CHECK, State("running", health="healthy"), 10) == 30


def test_the_last_five_checks_are_kept() -> None:
    state = State("running", health="healthy")
    for code in range(8):
        state = after(state, code, 100)
    assert [check.code for check in state.checks] == [3, 4, 5, 6, 7]
