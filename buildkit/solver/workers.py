"""Threads that do what takes long. Started when they are needed: a cached build has none.

In: functions. Out: what they returned or raised, with the tag they were given, in one queue.
"""

from __future__ import annotations

import threading
from _queue import SimpleQueue  # `queue` has more, and `heapq` for it
from collections.abc import Callable

from runtime.typed import Generic, TypeVar
from runtime.values import NamedTuple

R = TypeVar("R")


class Finished(NamedTuple, Generic[R]):
    """The end of the task `tag`: `error` is what it raised; else `value` is what it returned."""

    tag: str
    value: R | None
    error: BaseException | None


class Workers(Generic[R]):
    """A pool that grows to as many threads as there are tasks at once; used by one thread."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[str, Callable[[], R]] | None] = SimpleQueue()
        self._finished: SimpleQueue[Finished[R]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.active = 0
        """Tasks started whose end was not yet taken."""

    def start(self, tag: str, task: Callable[[], R]) -> None:
        """Have `task` done now. Raises RuntimeError where no thread can be started."""
        self.active += 1
        if self.active > len(self._threads):
            thread = threading.Thread(target=self._work, name="pybuild-step", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._tasks.put((tag, task))

    def take(self) -> Finished[R]:
        """Wait for the end of a task; signal handlers run meanwhile."""
        finished = self._finished.get()
        self.active -= 1
        return finished

    def poll(self) -> Finished[R] | None:
        """Return the end of a task if there is one."""
        return None if self._finished.empty() else self.take()

    def close(self) -> None:
        """Wait for all tasks to end and dismiss the threads."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            tag, function = task
            try:
                finished = Finished(tag, function(), None)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
                finished = Finished(tag, None, error)
            self._finished.put(finished)
