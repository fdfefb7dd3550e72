"""Signals that end a command: the first becomes an exception, so that everything is undone.

Exit status 130, 143 or 129 follows from it (`Cancelled`). What comes after the first signal
finds it ignored: cleaning up has begun, and a second Ctrl-C must not tear it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import contextlib

from buildkit.errors import Cancelled
from runtime.ticks import ticking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from buildkit.progress.cancel import Cancel


_SIGNALS = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


@contextlib.contextmanager
def cancellable() -> Iterator[None]:
    """Raise Cancelled in the block when a signal asks the command to end."""
    before = {number: _signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in _SIGNALS:
            _signal.signal(other, _signal.SIG_IGN)
        raise Cancelled(number)

    for number, handler in before.items():
        if handler != _signal.SIG_IGN:  # nohup, and background jobs of a shell
            _signal.signal(number, stop)
    try:
        with ticking():
            yield
    finally:
        for number, handler in before.items():
            _signal.signal(number, handler)


@contextlib.contextmanager
def cancelling() -> Iterator[Cancel]:
    """Give a wish to stop that SIGINT, SIGTERM and SIGHUP set; a second one does nothing new.

    For commands with threads, which an exception in the main one would not reach.
    """
    from buildkit.progress.cancel import Cancel  # for those who have threads

    with Cancel() as cancel:

        def stop(number: int, _frame: FrameType | None) -> None:
            cancel.set(number)

        before = {number: _signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler != _signal.SIG_IGN:
                _signal.signal(number, stop)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _SIGNALS)
        try:
            with ticking():
                yield cancel
        finally:
            for number, handler in before.items():
                _signal.signal(number, handler)
