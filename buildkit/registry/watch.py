"""Ends calls that wait for a socket: when the user cancels, and when an answer is overdue.

In: the sockets of one session, and their deadlines. Out: nothing; a wait on a socket that was cut
ends at once, as if the other side had gone. One thread for a session, which polls the cancel
descriptor; a blocking call in any thread (also one within TLS or HTTP) is reached that way.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable

from buildkit.errors import Cancelled
from buildkit.progress.cancel import Cancel

_TICK = 0.5


class Guard:
    """Watches over one connection; `late` once its deadline has passed."""

    def __init__(self, watch: Watch, sock: socket.socket) -> None:
        # TLS takes the socket over and leaves the first object empty; a copy stays usable.
        self._watch = watch
        self._copy = socket.socket(fileno=os.dup(sock.fileno()))
        self._mutex = threading.Lock()
        self._until: float | None = None
        self.late = False

    def expect(self, seconds: float) -> None:
        """Cut the connection unless `done` is called within `seconds`."""
        self.late = False
        self._until = time.monotonic() + seconds

    def done(self) -> None:
        """Take the deadline back."""
        self._until = None

    def check(self, now: float) -> None:
        """Cut the connection when it is late."""
        until = self._until
        if until is not None and now >= until:
            self._until = None
            self.late = True
            self.cut()

    def cut(self) -> None:
        """End every wait on the connection."""
        with self._mutex, contextlib.suppress(OSError):
            self._copy.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Forget the connection, which its owner closes."""
        self._watch.forget(self)
        with self._mutex:
            self._copy.close()


class _Attempt:
    """Makes a connection in another thread; `done` is readable once it is there or failed."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._mutex = threading.Lock()
        self._left = False
        self._ended = False
        self._made: socket.socket | None = None
        self._failure: BaseException | None = None
        self.done = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def run(self) -> None:
        made: socket.socket | None = None
        failure: BaseException | None = None
        try:
            made = self._connect()
        except BaseException as error:  # noqa: BLE001 - `result` raises it again
            failure = error
        with self._mutex:
            self._ended, self._made, self._failure = True, made, failure
            if self._left:
                self._give_back()
            else:
                os.eventfd_write(self.done, 1)

    def result(self) -> socket.socket:
        with self._mutex:
            os.close(self.done)
        if self._made is None:
            raise self._failure or ConnectionError("no connection")
        return self._made

    def leave(self) -> None:
        """Want the connection no longer: whoever comes last closes it."""
        with self._mutex:
            self._left = True
            if self._ended:
                self._give_back()

    def _give_back(self) -> None:
        os.close(self.done)
        if self._made is not None:
            self._made.close()


class Watch:
    """Watches over the connections of one session. `close` it before `cancel` is closed."""

    def __init__(self, cancel: Cancel) -> None:
        self.cancel = cancel
        self._guards: set[Guard] = set()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._aborted = False
        self._closed = False

    def guard(self, sock: socket.socket) -> Guard:
        """Watch over a new connection."""
        guard = Guard(self, sock)
        with self._mutex:
            self._guards.add(guard)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="pybuild-registry", daemon=True
                )
                self._thread.start()
        if self._aborted or self.cancel.is_set():
            guard.cut()
        return guard

    def forget(self, guard: Guard) -> None:
        """Watch no longer."""
        with self._mutex:
            self._guards.discard(guard)

    def check(self) -> None:
        """Raise Cancelled when the user cancelled, or the session was aborted."""
        self.cancel.check()
        if self._aborted:
            raise Cancelled(0)

    def wait(self, seconds: float) -> None:
        """Wait, unless it is cancelled. Raises Cancelled."""
        self._poll(None, seconds)
        self.check()

    def abort(self) -> None:
        """End every wait and refuse new ones: part of the work has failed."""
        self._aborted = True
        self._end()
        self._cut_all()

    def _cut_all(self) -> None:
        with self._mutex:
            guards = tuple(self._guards)
        for guard in guards:
            guard.cut()

    def close(self) -> None:
        """End the thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._end()
        if self._thread is not None:
            self._thread.join()
        os.close(self._ended)

    def connected(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """Return what `connect` gives, which nothing can interrupt; but do not wait after cancel.

        Names are looked up and connections made in a thread that may be left behind.
        """
        attempt = _Attempt(connect)
        threading.Thread(target=attempt.run, name="pybuild-connect", daemon=True).start()
        self._poll(attempt.done, None)
        try:
            self.check()
        except Cancelled:
            attempt.leave()
            raise
        return attempt.result()

    def _end(self) -> None:
        os.eventfd_write(self._ended, 1)

    def _poll(self, fd: int | None, seconds: float | None) -> None:
        """Wait for `fd`, for cancel and for the end of the session."""
        poll = select.poll()
        for one in (fd, self.cancel.fileno(), self._ended):
            if one is not None and one >= 0:
                poll.register(one, select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)

    def _run(self) -> None:
        while not (self._closed or self._aborted or self.cancel.is_set()):
            self._poll(None, _TICK)
            now = time.monotonic()
            with self._mutex:
                guards = tuple(self._guards)
            for guard in guards:
                guard.check(now)
        if self.cancel.is_set():
            self._cut_all()
