"""A signal that comes between the interpreter's look for signals and a wait."""

import os
import signal
import threading
from _thread import interrupt_main
from collections.abc import Iterator
from types import FrameType

import pytest

from runtime.ticks import ticking


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """There is no timer yet; the time limit of tests is one."""
    before = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, *before)


class _Heard(Exception):  # noqa: N818 - a signal is no error
    pass


def test_what_was_only_noted_ends_a_wait() -> None:
    def hear(_number: int, _frame: FrameType | None) -> None:
        raise _Heard

    reading, writing = os.pipe()
    before = signal.signal(signal.SIGUSR1, hear)
    # Notes the signal and sends none: the read below is not interrupted by it.
    note = threading.Timer(0.05, interrupt_main, (signal.SIGUSR1,))
    try:
        with pytest.raises(_Heard), ticking():
            note.start()
            os.read(reading, 1)
    finally:
        note.join()
        signal.signal(signal.SIGUSR1, before)
        os.close(reading)
        os.close(writing)


def _hear_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def test_neither_handler_nor_timer_is_left() -> None:
    before = signal.signal(signal.SIGALRM, _hear_nothing)
    try:
        with ticking():
            with ticking():
                pass
            assert signal.getitimer(signal.ITIMER_REAL)[1] > 0
        assert signal.getsignal(signal.SIGALRM) is _hear_nothing
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_timer_of_the_caller_ends_us_as_it_shall() -> None:
    handler = signal.signal(signal.SIGALRM, _hear_nothing)
    signal.setitimer(signal.ITIMER_REAL, 1000, 7)
    try:
        with ticking():
            left, interval = signal.getitimer(signal.ITIMER_REAL)
            assert (left > 900, interval) == (True, 7)
            assert signal.getsignal(signal.SIGALRM) is _hear_nothing
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 7
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
