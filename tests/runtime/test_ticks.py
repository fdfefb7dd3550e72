"""A signal that comes between the interpreter's look for signals and a wait."""

import os
import signal
import threading
import time
from _thread import interrupt_main
from types import FrameType

import pytest

from runtime.ticks import ticking


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


def test_a_timer_and_a_handler_from_before_are_there_again() -> None:
    def hear(_number: int, _frame: FrameType | None) -> None:
        pass

    handler = signal.signal(signal.SIGALRM, hear)
    before = signal.setitimer(signal.ITIMER_REAL, 1000, 7)
    try:
        with ticking():
            time.sleep(0.01)
        assert signal.getsignal(signal.SIGALRM) is hear
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= 1000
        assert interval == 7
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        signal.signal(signal.SIGALRM, handler)
