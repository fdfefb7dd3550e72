"""The process that looks after one container, from its start to its end.

In: a `Task`. Out: the container's process, its log, its state; answers to commands (`control.py`).
It is process 1 of a pid namespace of its own: when it ends, in whatever way, so does everything in
the container. It imports nothing but this package, and no caller has to stay for it.
Source: pid_namespaces(7); the behaviour of the container engines; docs/security.md, S9.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import contextlib
import os
import time

from runtime import (
    cgroups,
    child,
    containerlog,
    events,
    execs,
    host,
    plan,
    restarts,
)
from runtime import container as values
from runtime.channel import Failed
from runtime.child import KILL, Child
from runtime.container import State, Task
from runtime.control import Connection
from runtime.errors import SandboxError, StateError, explain
from runtime.init import Given
from runtime.loop import Loop
from runtime.removal import remove_tree
from runtime.service import Service
from runtime.spec import ExitStatus, RootFs, descriptors
from runtime.streams import Streams
from runtime.tending import Tending
from runtime.uplink import Uplink

_ENDING = (1, 2, 15)
"""Signals that end the monitor, and the container in its own way: SIGHUP, SIGINT, SIGTERM."""


class Monitor:
    """The container, and who asks about it."""

    def __init__(self, task: Task, first: Connection) -> None:
        self.task = task
        self.loop = Loop()
        self.log = containerlog.Writer(task.directory, task.logging)
        self.state = State()
        self.running: Child | None = None
        self.group: cgroups.Group | None = None
        self.streams: Streams | None = None
        self.stopped = False
        """Whether the user has asked for its end."""
        self.again = False
        """Whether it shall start once more after that."""
        self.over = False
        self.began = 0.0
        self._maker = cgroups.Maker()
        self._namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._delay = 0.0
        self._uplink: Uplink | None = None
        self._timer: int | None = None
        self._timed_out = False
        self._noted = self._told = False
        self._result = ExitStatus(0)
        self.service = Service(self, first)
        self.tending = Tending(self)

    def run(self) -> None:
        """Start it, and do what there is to do until it has ended for good."""
        for number in _ENDING:
            _signal.signal(number, lambda *_: self.stop(0, -1.0))
        try:
            self._uplink = Uplink.make(self.task)
            self.service.open()
            self.start()
        except (OSError, SandboxError) as error:
            self._refuse(error)
        while not self.over:
            self.loop.turn()
        self._finish()

    def start(self) -> None:
        """Start the program. Raises OSError, SandboxError."""
        task, uplink = self.task, self._uplink
        if uplink is None:
            raise StateError("there is no network yet")
        spec = uplink.joined(task.spec)
        if isinstance(spec.root, RootFs) and spec.root.work is not None:
            _make_empty(spec.root.work)
        if task.shared:
            from runtime import joining  # for those who have something in common

            spec = joining.joined(task, spec)
        if uplink.user is not None:
            from runtime import idmapped  # for those who have ids of their own

            spec = idmapped.prepared(spec, uplink.user, task.directory)
        actions = plan.plan(spec, host.here())
        self.group = self._maker.make(spec.resources)
        streams = Streams(
            self.loop,
            self._tell,
            interactive=task.interactive,
            terminal=spec.process.terminal,
        )
        self.streams = streams
        used_up = descriptors(spec)
        numbers = used_up if spec.network_fd is None else (*used_up, spec.network_fd)
        given = Given(
            stdio=(streams.given[0], streams.given[1], streams.given[2]),
            fds={number: number for number in numbers},
            view=self._maker.view(self.group),
        )
        self.began = time.monotonic()
        self._noted = self._told = False
        self.running = child.start(
            actions,
            given,
            self.group,
            self._namespace,
            dies_with_parent=False,
            user=uplink.user,
        )
        for fd in used_up:
            os.close(fd)
        self.loop.watch(self.running.status_fd, self._hear)
        self.loop.watch(self.running.pidfd, self._end)

    def _tell(self, stream: int, data: bytes) -> None:
        self.log.write(stream, data)
        self.service.output(stream, data)

    def _hear(self) -> None:
        """Take in how far the making of the sandbox has come."""
        running = self.running
        if running is None:
            return
        heard_all = not running.hear()
        if running.ready and not self._noted:
            self._started(running)
        if heard_all:
            self.loop.forget(running.status_fd)
            if running.ready and not running.is_refused:
                self._runs()

    def _runs(self) -> None:
        """Tell who waits that the program runs: the descriptor went with the execve(2)."""
        if not self._told:
            self._told = True
            self.service.started()

    def _started(self, running: Child) -> None:
        """Note that the program is about to run."""
        self._noted = True
        if self.streams is not None:
            self.streams.started(running.terminal)
            running.terminal = None
        groups = () if self.group is None else self.group.directories
        uplink = self._uplink
        self.keep(
            self.state._replace(
                status="running",
                pid=running.outer_pid(),
                started=containerlog.now(),
                finished="",
                code=0,
                oom=False,
                error="",
                groups=groups,
                address="" if uplink is None else uplink.address,
                ports=() if uplink is None else uplink.ports,
            )
        )
        if self.task.pidfile:
            _write_pid(self.task.pidfile, self.state.pid)
        self.event("start")
        self.tending.begin()
        if self.task.timeout:
            self._timer = self.loop.after(self.task.timeout, self._time_out)

    def _time_out(self) -> None:
        self._timed_out = self.stopped = True
        self.signal(KILL)

    def _end(self) -> None:
        """Note that every process in it has ended."""
        running, streams = self.running, self.streams
        if running is None or streams is None:
            return
        self.loop.forget(running.pidfd)
        self.loop.forget(running.status_fd)
        self.loop.cancel(self._timer)
        result = running.finish()
        if running.ready and not self._noted:
            self._started(running)
        if self._noted and not running.is_refused:
            self._runs()
        self.tending.end()
        self.running = None
        streams.drain()
        streams.close()
        self.streams = None
        if isinstance(result, Failed):
            self._refuse(result.error())
            return
        if self._timed_out:
            reason = f"timed out after {self.task.timeout:g} seconds"
            result = result._replace(timed_out=True, reason=reason)
        self._ended(result)

    def _ended(self, result: ExitStatus) -> None:
        self._result = result
        lasted = time.monotonic() - self.began
        if result.oom:
            self.event("oom")
        self.event("die", exitCode=str(result.code))
        after = self.state._replace(
            pid=0,
            finished=containerlog.now(),
            code=result.code,
            oom=result.oom,
            error=result.reason,
            groups=(),
            health="",
        )
        if self.again:
            self.again = self.stopped = False
            self.keep(after._replace(status="restarting"))
            self._start_again()
        elif result.started and restarts.wanted(
            self.task.restart, result.code, self.state.restarts, stopped=self.stopped
        ):
            self._delay = restarts.delay(self._delay, lasted)
            self.keep(after._replace(status="restarting", restarts=self.state.restarts + 1))
            self._timer = self.loop.after(self._delay, self._start_again)
        else:
            self.keep(after._replace(status="exited"))
            self.over = True

    def _start_again(self) -> None:
        try:
            self.start()
        except (OSError, SandboxError) as error:
            self._refuse(error)

    def _refuse(self, error: OSError | SandboxError) -> None:
        """End because the container cannot be made."""
        message = explain(error) if isinstance(error, OSError) else error.message
        if isinstance(error, OSError) and not error.filename:
            message = f"cannot start the container: {message}"
        hint = "" if isinstance(error, OSError) else error.hint
        if self.streams is not None:
            self.streams.close()
            self.streams = None
        if self.group is not None and self.running is None:
            self.group.remove()
        now = containerlog.now()
        self._result = ExitStatus(125, started=False, reason=message)
        self.keep(
            self.state._replace(status="exited", pid=0, code=125, error=message, finished=now)
        )
        self.service.refuse(message, hint)
        self.over = True

    def keep(self, state: State) -> None:
        """Make this the state; a full disk must not end the container."""
        self.state = state
        try:
            values.write_state(self.task.directory, state)
        except OSError:
            return

    def event(self, action: str, **attributes: str) -> None:
        """Record that something happened."""
        names = {"name": self.task.names[0]} if self.task.names else {}
        where = os.path.dirname(self.task.directory)
        events.record(where, action, self.task.identity, {**names, **attributes})

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        if self.running is not None:
            self.running.signal(number)

    def stop(self, number: int, timeout: float) -> None:
        """Ask the program to end, and kill it if it has not after a while."""
        self.stopped = True
        if self.running is None:
            if not self.over and self.state.status == "restarting":
                # It waits for its next start.
                self.loop.cancel(self._timer)
                self.keep(self.state._replace(status="exited"))
                self.over = True
            return
        self.tending.thaw()
        self.signal(number or self.task.stop_signal)
        patience = self.task.stop_timeout if timeout < 0 else timeout
        running = self.running

        def kill() -> None:
            if self.running is running:
                self.signal(KILL)

        self.loop.after(patience, kill)

    def inside(self) -> execs.Inside:
        """Return what a further program needs. Raises StateError where nothing runs."""
        if self.running is None or not self.running.ready:
            raise StateError("the container is not running")
        return execs.Inside(self.task.spec, self.running.pidfd, self.group, self._namespace)

    def _finish(self) -> None:
        """Leave nothing behind, and tell those who wait."""
        self.log.close()
        if self.task.pidfile:
            with contextlib.suppress(OSError):
                os.unlink(self.task.pidfile)
        if self._uplink is not None:
            self._uplink.unpublish()
        self.service.flush()
        if self.task.remove:
            self._remove()
        # Nobody has to wait for the kernel to take interfaces down, which lasts longer than a
        # short command.
        self.service.ended(self._result)
        if self._uplink is not None:
            self._uplink.close()

    def _remove(self) -> None:
        containers = os.path.dirname(self.task.directory)
        for name in self.task.names[:1]:
            try:
                os.unlink(f"{containers}/names/{name}")
            except FileNotFoundError:
                pass
        trash = f"{self.task.trash}/gone-{self.task.identity}"
        try:
            os.rename(self.task.directory, trash)
            remove_tree(trash)
            for volume in self.task.volumes:
                remove_tree(volume)
        except OSError as error:
            self.service.warn(f"cannot remove the container: {explain(error)}")
        self.event("destroy")


def _make_empty(work: str) -> None:
    """Make the work directory new: a volatile overlay leaves a mark that forbids another one."""
    if os.path.isdir(work) and not os.listdir(work):
        return  # as at a first start
    remove_tree(work)
    os.mkdir(work, 0o700)


def _write_pid(path: str, pid: int) -> None:
    """Keep the number of process 1 at a path of the user's, written aside and renamed."""
    aside = f"{path}.{os.getpid()}.new"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError:
        return  # as with the state: this must not end the container
    try:
        os.write(fd, f"{pid}\n".encode())
        os.rename(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(aside)
    finally:
        os.close(fd)
