"""What a monitor does for the commands that connect to it.

In: messages of `control.py`. Out: what they ask for, done, and answered. A command that goes takes
with it what it had for itself alone: a further program that it runs, or, where it is the foreground
command of the container, the container.
"""

from __future__ import annotations

import os

from runtime import control, execs, wire
from runtime.channel import Failed
from runtime.child import KILL
from runtime.clients import Client
from runtime.control import (
    Attach,
    Detach,
    Done,
    Input,
    Listed,
    Look,
    Message,
    Mute,
    Output,
    Pause,
    Processes,
    Refused,
    Resize,
    RunExec,
    Signal,
    Started,
    Stop,
    Wait,
)
from runtime.errors import SandboxError, explain
from runtime.execs import Running
from runtime.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.container import Exec
    from runtime.monitor import Monitor
    from runtime.spec import ExitStatus

_MOMENT = 0.01
_PATIENCE = 10.0
"""Seconds for which the end waits for commands that do not take what is on its way to them."""


class Service:
    """The commands that are connected."""

    def __init__(self, monitor: Monitor, first: control.Connection) -> None:
        self._monitor = monitor
        self._clients: set[Client] = set()
        self._execs: dict[Client, Running] = {}
        self._told_to_start = False
        self._first = self._add(first)
        self._first.attached = monitor.task.attached
        self._first.feeds = monitor.task.attached and monitor.task.interactive

    def open(self) -> None:
        """Let commands come."""
        listening = control.listen(self._monitor.task.directory)

        def come() -> None:
            connection = control.accept(listening)
            if connection is not None:
                self._add(connection)

        self._monitor.loop.watch(listening.fileno(), come)

    def _add(self, connection: control.Connection) -> Client:
        client = Client(connection, self._monitor.loop)
        self._clients.add(client)
        self._monitor.loop.watch(connection.fileno(), lambda: self._attend(client))
        return client

    def _attend(self, client: Client) -> None:
        """Take in what a command says, and send it what is on its way."""
        client.go_on()
        if client.feeds and self._monitor.streams is not None and self._monitor.streams.is_full:
            # Until there is room, nothing else that it says counts either.
            fd = client.connection.fileno()
            self._monitor.loop.widen(fd, 0)
            self._monitor.loop.after(_MOMENT, lambda: self._monitor.loop.widen(fd, READ))
            return
        try:
            received = client.connection.receive_now()
        except BlockingIOError:
            self._balance()
            return
        if received is None:
            self._leave(client)
            return
        message, fds = received
        try:
            self._answer(client, message, fds)
        except SandboxError as error:
            client.tell(Refused(error.message, error.hint))
        except OSError as error:
            client.tell(Refused(explain(error)))
        finally:
            for fd in fds:
                os.close(fd)
        self._balance()

    def _answer(self, client: Client, message: Message, fds: list[int]) -> None:
        monitor = self._monitor
        match message:
            case Input() | Resize() | Mute() | Signal():
                self._pass_on(client, message)
            case Attach(stdin):
                client.attached, client.feeds = True, stdin
                client.tell(Started(monitor.state.pid))
            case Detach():
                client.left = True
            case Stop(number, timeout, again):
                client.stopping, client.again = True, again
                # Who ends it for good waits until there is no monitor any more.
                monitor.again = all(one.again for one in self._clients if one.stopping)
                monitor.stop(number, timeout)
            case Wait(health):
                client.waits = health
                self.look_at_health()
            case RunExec(detached):
                self._run(client, fds, detached=detached)
            case Pause() | Look() | Processes():
                self._inspect(client, message)
            case _:
                client.tell(Refused(f"unexpected message {type(message).__name__}"))

    def _pass_on(self, client: Client, message: Input | Resize | Mute | Signal) -> None:
        """Do what concerns the program of a command: its own, or the container's."""
        streams, own = self._monitor.streams, self._execs.get(client)
        match message:
            case Signal(number):
                if own is not None:
                    own.program.signal(number)
                else:
                    self._monitor.signal(number)
            case Input(data):
                # Without more of it, the program's input ends only with who has it alone.
                if streams is not None and client.feeds and (data or self._monitor.task.stdin_once):
                    streams.feed(data)
            case Resize(rows, columns):
                if streams is not None:
                    streams.resize(rows, columns)
            case Mute(stream):
                if streams is not None and client is self._first:
                    streams.mute(stream)

    def _inspect(self, client: Client, message: Pause | Look | Processes) -> None:
        self._monitor.inside()  # raises where nothing runs
        match message:
            case Pause(paused):
                self._monitor.tending.pause(paused=paused)
                client.tell(Done())
            case Look():
                root = os.open(
                    f"/proc/{self._monitor.state.pid}/root",
                    os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC,
                )
                try:
                    client.connection.send(Done(), [root])
                finally:
                    os.close(root)
            case Processes():
                programs = [running.program.outer_pid() for running in self._execs.values()]
                first = {self._monitor.state.pid, *programs}
                client.tell(Listed(execs.descendants(first - {-1})))

    def _run(self, client: Client, fds: list[int], *, detached: bool) -> None:
        """Run a further program for a command."""
        wanted: Exec = wire.from_memory(os.dup(fds[0]), control.TYPES)
        monitor = self._monitor
        if wanted.process.terminal:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            fds.append(null)
            stdio = (null, null, null)
        else:
            stdio = (fds[1], fds[2], fds[3])
        program = execs.start(monitor.inside(), wanted, stdio)

        def ready(running: Running) -> None:
            terminal = running.program.terminal
            given = [] if terminal is None else [terminal]
            client.connection.send(Started(running.program.outer_pid()), given)
            if terminal is not None:
                os.close(terminal)
                running.program.terminal = None

        def ended(_running: Running, result: ExitStatus | Failed) -> None:
            self._execs.pop(client, None)
            if isinstance(result, Failed):
                error = result.error()
                client.tell(Refused(error.message, error.hint))
            else:
                client.tell(result)
            monitor.event("exec_die", exitCode=str(getattr(result, "code", 126)))

        client.left = detached
        self._execs[client] = Running(monitor.loop, program, ready, ended)
        monitor.event("exec_start", command=" ".join(wanted.process.args))

    def _leave(self, client: Client) -> None:
        """Part with a command."""
        client.give_up()
        self._monitor.loop.forget(client.connection.fileno())
        self._clients.discard(client)
        client.connection.close()
        own = self._execs.get(client)
        if own is not None and not client.left:
            own.program.signal(KILL)
        task = self._monitor.task
        if client is self._first and task.attached and not client.left:
            self._monitor.stopped = True
            self._monitor.signal(KILL)
        elif client.feeds and task.stdin_once and not client.left and self._monitor.streams:
            self._monitor.streams.feed(b"")
        self._balance()

    def output(self, stream: int, data: bytes) -> None:
        """Show output to everybody who is attached."""
        for client in self._clients:
            if client.attached:
                client.tell(Output(stream, data))
        self._balance()

    def _balance(self) -> None:
        """Take no output in while somebody has too much to read already."""
        streams = self._monitor.streams
        if streams is None:
            return
        if any(client.is_full for client in self._clients):
            streams.pause()
        else:
            streams.resume()

    def started(self) -> None:
        """Tell the first command that the container runs."""
        if not self._told_to_start:
            self._told_to_start = True
            self._first.tell(Started(self._monitor.state.pid))
        for client in self._clients:
            # Asked to start it again.
            if client.stopping:
                client.stopping = False
                client.tell(Done())

    def refuse(self, message: str, hint: str) -> None:
        """Tell the first command that there will be no container."""
        self._first.tell(Refused(message, hint))

    def warn(self, message: str) -> None:
        """Tell the first command of something that did not work at the end."""
        self._first.tell(Output(2, f"pybuild: {message}\n".encode()))

    def look_at_health(self) -> None:
        """Tell those who wait for a health that it has come."""
        health = self._monitor.state.health
        for client in self._clients:
            if client.waits and client.waits == health:
                client.waits = None
                client.tell(Done())

    def flush(self) -> None:
        """Send all output that is on its way; not even a slow reader loses some."""
        late = False

        def give_up() -> None:
            nonlocal late
            late = True

        self._monitor.loop.after(_PATIENCE, give_up)
        while True:
            waiting = [one for one in self._clients if one.attached and not one.is_served]
            if not waiting or (late and self._first not in waiting):
                return
            self._monitor.loop.turn()

    def ended(self, result: ExitStatus) -> None:
        """Tell everybody that the container has ended."""
        for client in self._clients:
            if client.attached or (client is self._first and not self._told_to_start):
                client.tell(result)
            elif client.waits is not None or (client.stopping and not client.again):
                # Who wants it to run again hears that nobody is here, and starts it.
                client.tell(Done(result.code))
