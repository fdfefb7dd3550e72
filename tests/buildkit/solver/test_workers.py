"""Threads of a solve: what becomes of them at a limit of processes."""

import threading

import pytest

from buildkit.solver.workers import Workers


def test_a_thread_that_cannot_start_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers: Workers[int] = Workers()
    workers.start("first", lambda: 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            workers.start("second", lambda: 2)
    workers.close()
    finished = workers.take()
    assert (finished.tag, finished.value) == ("first", 1)
