"""Pauses between tries."""

from buildkit.registry.limits import Limits, pause

LIMITS = Limits(delay=1.0, longest=10.0, patience=60.0)


def test_pauses_grow_up_to_a_cap() -> None:
    assert [pause(LIMITS, failures, None, 1.0) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_chance_takes_away_up_to_a_half() -> None:
    assert pause(LIMITS, 3, None, 0.0) == 2.0
    assert pause(LIMITS, 3, None, 0.5) == 3.0


def test_what_the_registry_asks_for_counts_up_to_a_cap() -> None:
    assert pause(LIMITS, 1, 30.0, 1.0) == 30.0
    assert pause(LIMITS, 1, 86_400.0, 1.0) == 60.0
    assert pause(LIMITS, 2, 0.0, 1.0) == 2.0
