"""Waits that a signal always ends."""

import threading
from concurrent.futures import Future

import pytest

from buildkit.progress import waiting


def test_all_are_done() -> None:
    works: list[Future[int]] = [Future(), Future()]
    for work in works:
        work.set_result(1)
    assert waiting.first_failed(works) == (set(works), set())


def test_one_has_failed_and_the_other_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_TURN", 0.01)
    works: list[Future[int]] = [Future(), Future(), Future()]
    works[0].set_result(1)
    threading.Timer(0.05, works[1].set_exception, [ValueError()]).start()
    assert waiting.first_failed(works) == ({works[0], works[1]}, {works[2]})


def test_no_wait_is_longer_than_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []
    work: Future[int] = Future()

    def wait(works: list[Future[int]], *, timeout: float, return_when: str) -> tuple[set, set]:  # type: ignore[type-arg]
        turns.append(timeout)
        if len(turns) == 3:
            work.set_result(1)
            return set(works), set()
        return set(), set(works)

    monkeypatch.setattr(waiting, "wait", wait)
    assert waiting.first_failed([work]) == ({work}, set())
    assert turns == [waiting._TURN] * 3
