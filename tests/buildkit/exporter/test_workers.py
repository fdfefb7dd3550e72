"""Work on several things at once."""

import threading

import pytest

from buildkit.exporter.workers import Check, in_parallel


def test_results_come_in_order() -> None:
    assert in_parallel(lambda item, _check: item * 2, [1, 2, 3]) == [2, 4, 6]
    assert in_parallel(lambda item, _check: item, []) == []


def test_a_single_piece_of_work_stays_in_the_callers_thread() -> None:
    here = threading.current_thread()
    assert in_parallel(lambda _item, _check: threading.current_thread(), [1]) == [here]


@pytest.mark.parametrize("items", [["fails", "runs"], ["runs", "fails"]])
def test_a_failure_stops_the_others(items: list[str]) -> None:
    started = threading.Event()

    def work(item: str, check: Check) -> None:
        if item == "fails":
            started.wait(10)
            raise ValueError("broken")
        started.set()
        while True:
            check()

    with pytest.raises(ValueError, match="broken"):
        in_parallel(work, items)
