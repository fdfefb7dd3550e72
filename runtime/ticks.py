"""Signals that come just before a wait begins: they are heard half a second later, and not never.

The interpreter looks whether a signal came, and then makes a system call that waits. One that comes
between the two is noted, and nothing ends the wait: a pipe without writers, or a container that
runs for days. So a timer ends each wait that long; the interpreter looks, and waits on. Source:
signal(7), setitimer(2), PEP 475.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_SECONDS = 0.5


@contextlib.contextmanager
def ticking() -> Iterator[None]:
    """Let no signal of this block go unheard; for the main thread.

    Processes that are forked have no such timer, but those that are executed in our place keep it:
    do so outside. A timer that runs already is left alone: it is one of ours, or our caller's, who
    wants us to end then (`perl -e 'alarm 9; exec @ARGV' ...`).
    """
    if _signal.getitimer(_signal.ITIMER_REAL)[0]:
        yield
        return
    handler = _signal.signal(_signal.SIGALRM, lambda *_: None)
    _signal.setitimer(_signal.ITIMER_REAL, _SECONDS, _SECONDS)
    try:
        yield
    finally:
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        # Takes away one that another thread was chosen for and has not seen; it would end us.
        _signal.signal(_signal.SIGALRM, _signal.SIG_IGN)
        _signal.signal(_signal.SIGALRM, handler)
