"""A sandbox in the foreground: its signals, and its terminal if it has one.

In: a spec, and the caller's standard descriptors. Out: an `ExitStatus`. Signals that reach the
caller are passed on; what is typed goes in, what is written comes out, in raw mode, with the
size of the window kept. The caller forks the sandbox itself, without a zygote.
Source: termios(3), pty(7); the behaviour of the container engines; docs/security.md, S7, S9.
"""

import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runtime import cgroups, child, host, plan, process
from runtime.channel import Channel, Failed, Signal
from runtime.child import Child
from runtime.init import Given
from runtime.sandbox import descriptors
from runtime.spec import ExitStatus, SandboxSpec

FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
)
_BLOCK = 1 << 16
_END_OF_FILE = b"\x04"


def run_attached(spec: SandboxSpec, *, tty: bool, interactive: bool) -> ExitStatus:
    """Run a sandbox on the caller's standard descriptors, to its end.

    The caller must be single-threaded; without the machine's root it can fork no more
    afterwards. With `tty` the sandbox gets a terminal of its own, else the caller's output; its
    input is empty unless `interactive`. Raises SetupError where the sandbox cannot be made.
    """
    if tty:
        wanted = spec.process._replace(terminal=True, terminal_size=size())
        spec = spec._replace(process=wanted)
    actions = plan.plan(spec, host.here())
    maker = cgroups.Maker()
    group = maker.make(spec.resources)
    used_up = descriptors(spec)
    numbers = used_up if spec.network_fd is None else (*used_up, spec.network_fd)
    watch = _watcher()
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    given = Given(
        stdio=(0 if interactive else null, 1, 2),
        fds={number: number for number in numbers},
        view=maker.view(group),
    )
    running = child.start(actions, given, group, namespace, dies_with_parent=True)
    for fd in (null, namespace, *used_up):
        os.close(fd)
    watch.send(Signal(child.KILL), [running.pidfd])
    with forwarding(running):
        _attend(running, interactive=interactive)
        result = running.finish()
    watch.close()
    if isinstance(result, Failed):
        raise result.error()
    return result


def _watcher() -> Channel:
    """Fork a process that kills the sandbox when we are gone, however that happens.

    The kernel's own way, PR_SET_PDEATHSIG, is forgotten when a set-id program is executed.
    """
    ours, theirs = Channel.pair()
    if os.fork() == 0:
        try:
            os.setsid()
            process.reset_signals()
            ours.close()
            received = theirs.receive()
            if received is not None and theirs.receive() is None:
                signal.pidfd_send_signal(received[1][0], child.KILL)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def size() -> tuple[int, int]:
    """Return rows and columns of the caller's terminal, 24 and 80 if it has none."""
    for fd in (1, 0, 2):
        try:
            answer = fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8)
        except OSError:
            continue
        rows, columns = struct.unpack("HHHH", answer)[:2]
        if rows and columns:
            return rows, columns
    return 24, 80


@contextmanager
def forwarding(running: Child) -> Iterator[None]:
    """Pass signals on to the sandbox for the time of a block."""

    def forward(number: int, _frame: FrameType | None) -> None:
        running.signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _attend(running: Child, *, interactive: bool) -> None:
    """Hear the sandbox out, and copy for its terminal, until it has ended."""
    poll = select.poll()
    poll.register(running.pidfd, select.POLLIN)
    poll.register(running.status_fd, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        # It may have ended already; what it said before counts all the same.
        heard_all = not running.hear()
        if running.terminal is not None:
            relay(running, running.terminal, interactive=interactive)
            return
        if running.pidfd in ready:
            return
        if heard_all or running.ready:
            poll.unregister(running.status_fd)


def relay(running: Child, outer: int, *, interactive: bool) -> None:
    """Copy between the caller's terminal and `outer` until the program has ended; closes it."""
    with raw(0 if interactive else None), following_size(lambda *new: resize(outer, *new)):
        poll = select.poll()
        for fd in (outer, running.pidfd, *([0] if interactive else [])):
            poll.register(fd, select.POLLIN)
        ended = False
        while not ended:
            for fd, _events in poll.poll():
                if fd == 0:
                    data = os.read(0, _BLOCK)
                    if not data:
                        poll.unregister(0)
                    _write(outer, data or _END_OF_FILE)
                elif fd == running.pidfd or not _copy_out(outer):
                    ended = True
        # What was written last may still be on its way.
        os.set_blocking(outer, False)
        while _copy_out(outer):
            pass
    os.close(outer)


def _copy_out(outer: int) -> bool:
    """Copy one block out; return whether there was one."""
    try:
        data = os.read(outer, _BLOCK)
    except OSError:
        # EIO: the inner end is closed everywhere. EAGAIN: nothing more.
        return False
    _write(1, data)
    return bool(data)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def raw(fd: int | None) -> Iterator[None]:
    """Switch a terminal to raw mode for the time of a block; other files stay as they are."""
    if fd is None or not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    mode = termios.tcgetattr(fd)
    mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    mode[1] &= ~termios.OPOST
    mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    mode[6][termios.VMIN] = 1
    mode[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def resize(outer: int, rows: int, columns: int) -> None:
    """Give a terminal another size."""
    fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def following_size(tell: Callable[[int, int], object]) -> Iterator[None]:
    """Tell the rows and columns of the caller's window whenever they change."""

    def follow(_number: int, _frame: FrameType | None) -> None:
        tell(*size())

    before = signal.signal(signal.SIGWINCH, follow)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
