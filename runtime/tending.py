"""What a monitor does for its container unasked, and what it does with it as a whole.

In: the health check of a task. Out: its runs, one after the other, and the health that follows.
Pausing: by the freezer of control groups, in which the processes are put when they are not.
"""

from __future__ import annotations

import os
import time

from runtime import containerlog, execs, freezer, health
from runtime.channel import Failed
from runtime.child import KILL
from runtime.container import Check, Exec, FailureAction
from runtime.errors import SandboxError, StateError
from runtime.execs import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.monitor import Monitor
    from runtime.spec import ExitStatus


class Tending:
    """The health checks of a container, and its freezer."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._timer: int | None = None
        self._timeout: int | None = None
        self._running: Running | None = None
        self._freezer: freezer.Freezer | None = None

    def begin(self) -> None:
        """Start checking: the container runs."""
        check = self._monitor.task.health
        if check is None:
            return
        monitor = self._monitor
        monitor.keep(monitor.state._replace(health="starting", failing=0, checks=()))
        self._timer = monitor.loop.after(health.first_delay(check), self._check)

    def end(self) -> None:
        """Stop checking: it has ended."""
        self._monitor.loop.cancel(self._timer)
        self._monitor.loop.cancel(self._timeout)
        if self._freezer is not None:
            self._freezer.remove()
            self._freezer = None

    def _check(self) -> None:
        """Run the check."""
        monitor, check = self._monitor, self._monitor.task.health
        if check is None or monitor.running is None:
            return
        if monitor.state.status == "paused":
            self._timer = monitor.loop.after(check.interval, self._check)
            return
        began = containerlog.now()
        output = os.memfd_create("check", os.MFD_CLOEXEC)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        process = monitor.task.spec.process._replace(args=check.args, terminal=False)
        timed_out = False

        def time_out() -> None:
            nonlocal timed_out
            timed_out = True
            if self._running is not None:
                self._running.program.signal(KILL)

        def ended(_running: Running, result: ExitStatus | Failed) -> None:
            self._running = None
            monitor.loop.cancel(self._timeout)
            text = os.pread(output, health.OUTPUT, 0).decode("utf-8", "replace")
            os.close(output)
            code = -1 if timed_out or isinstance(result, Failed) else result.code
            if timed_out:
                text = f"timed out after {check.timeout:g} seconds\n{text}"
            elif isinstance(result, Failed):
                text = result.cause
            self._checked(Check(began, containerlog.now(), code, text))

        try:
            program = execs.start(monitor.inside(), Exec(process), (null, output, output))
        except (OSError, SandboxError) as error:
            os.close(output)
            self._checked(Check(began, containerlog.now(), -1, str(error)))
            return
        finally:
            os.close(null)
        self._running = Running(monitor.loop, program, lambda _: None, ended)
        self._timeout = monitor.loop.after(check.timeout, time_out)

    def _checked(self, done: Check) -> None:
        monitor, check = self._monitor, self._monitor.task.health
        if check is None or monitor.running is None:
            return
        age = time.monotonic() - monitor.began
        before = monitor.state.health
        monitor.keep(health.after(check, monitor.state, done, age))
        if monitor.state.health != before:
            monitor.event(f"health_status: {monitor.state.health}")
            monitor.service.look_at_health()
            if monitor.state.health == "unhealthy":
                self._act(check.on_failure)
        self._timer = monitor.loop.after(health.next_delay(check, monitor.state, age), self._check)

    def _act(self, action: FailureAction) -> None:
        """Do what is to be done with a container that is no longer well."""
        monitor = self._monitor
        if action == "kill":
            monitor.signal(KILL)
        elif action != "none" and not monitor.stopped:
            monitor.again = action == "restart"
            monitor.stop(0, -1.0)

    def pause(self, *, paused: bool) -> None:
        """Let nothing in the container run, or let it run again."""
        monitor = self._monitor
        if paused == (monitor.state.status == "paused"):
            raise StateError(f"the container is {'' if paused else 'not '}paused")
        if not paused:
            self.thaw()
            return
        if self._freezer is None:
            self._freezer = freezer.freezer(monitor.group)
        self._freezer.freeze(lambda: execs.descendants({monitor.state.pid}))
        monitor.keep(monitor.state._replace(status="paused"))
        monitor.event("pause")

    def thaw(self) -> None:
        """Let the container run again, if it is paused."""
        monitor = self._monitor
        if monitor.state.status != "paused" or self._freezer is None:
            return
        self._freezer.thaw()
        monitor.keep(monitor.state._replace(status="running"))
        monitor.event("unpause")
