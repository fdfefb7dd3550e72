"""Sandboxes as their parent sees them, without the sandbox."""

import os
import signal
import time

from runtime.channel import Channel
from runtime.child import Child
from runtime.spec import ExitStatus


def test_what_is_asked_to_end_before_its_program_runs_ends() -> None:
    """Process 1 would never get what is blocked until then: by default it ignores it."""
    ours, theirs = Channel.pair()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid == 0:
        time.sleep(20)
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    child = Child(pid, ours, None, None)
    child.signal(signal.SIGTERM)
    ended = child.finish()
    assert isinstance(ended, ExitStatus)
    assert (ended.code, ended.signal) == (143, signal.SIGTERM)
