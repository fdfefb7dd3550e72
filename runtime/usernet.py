"""The way out of a namespace without privileges: slirp4netns or pasta.

In: a network namespace owned by the caller's user namespace. Out: a process that carries its
traffic through ordinary sockets of the host, and that ends when a descriptor is closed.
Source: slirp4netns(1), pasta(1).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys

from runtime import interpreter
from runtime.values import NamedTuple

_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")
_TUN = "/dev/net/tun"
SERVER = "10.0.2.3"
"""Where each helper answers for the name servers of the host."""

_NAMESPACE, _READY, _EXIT = 3, 4, 5
_READY_WITHIN_MS = 10_000
_SLIRP = [
    "slirp4netns",
    *("--configure", "--mtu=65520", "--disable-host-loopback"),
    *("--enable-sandbox", "--enable-seccomp", f"--ready-fd={_READY}", f"--exit-fd={_EXIT}"),
    *("--netns-type=path", f"/proc/self/fd/{_NAMESPACE}", "tap0"),
]
_KEEPER = """
import os, select, sys
exit_fd = int(sys.argv[1])
os.set_inheritable(exit_fd, False)
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], {"PATH": os.defpath}, setsigdef=[13])
poll = select.poll()
poll.register(exit_fd)
poll.register(os.pidfd_open(pid), select.POLLIN)
if poll.poll()[0][0] == exit_fd:
    os.kill(pid, 9)
os.waitpid(pid, 0)
"""
"""pasta watches no descriptor, so this does."""


class Helper(NamedTuple):
    """A running helper. It ends when `exit_fd` is closed."""

    pid: int
    exit_fd: int
    address: str
    servers: tuple[str, ...]


def missing() -> str:
    """Return why there can be no helper, or nothing."""
    if not os.path.exists(_TUN):
        return f"there is no {_TUN}"
    if not os.access(_TUN, os.R_OK | os.W_OK):
        return f"{_TUN} may not be opened"
    if program("slirp4netns") is None and program("pasta") is None:
        return "neither slirp4netns nor pasta is installed"
    return ""


def program(name: str) -> str | None:
    """Return where a helper is."""
    for directory in _DIRECTORIES:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def start(namespace: int) -> Helper:
    """Start a helper for a namespace, and wait until it carries. Raises OSError if it fails."""
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    exit_read, exit_write = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    said = os.memfd_create("said", os.MFD_CLOEXEC)
    slirp = program("slirp4netns")
    path, arguments = (slirp, _SLIRP) if slirp else (sys.executable, _kept(_pasta()))
    wanted = (null, said, said, namespace, ready_write, exit_read)
    # First out of the way of the numbers they shall have.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in wanted]
    try:
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(high)]
        environment = {"PATH": os.defpath} if slirp else interpreter.environment()
        pid = os.posix_spawn(path, arguments, environment, file_actions=actions)
    finally:
        for fd in (*high, ready_write, exit_read, null):
            os.close(fd)
    carries = _is_ready(ready_read)
    message = os.pread(said, 2000, 0).decode(errors="replace").strip()
    os.close(said)
    if not carries:
        os.close(exit_write)
        os.waitpid(pid, 0)
        raise OSError(errno.EIO, message.rpartition("\n")[2] or "it did not start", path)
    return Helper(pid, exit_write, "10.0.2.100" if slirp else "", (SERVER,))


def stop(helper: Helper) -> None:
    """End a helper."""
    os.close(helper.exit_fd)
    os.waitpid(helper.pid, 0)


def _is_ready(fd: int) -> bool:
    """Wait for a word from the helper; its end is none."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        return bool(poll.poll(_READY_WITHIN_MS)) and bool(os.read(fd, 1))
    finally:
        os.close(fd)


def _pasta() -> list[str]:
    """Return how to call pasta; it writes its number, when ready, into our pipe."""
    return [
        program("pasta") or "pasta",
        *("--config-net", "--foreground", "--quiet", "--no-map-gw", "--dns-forward", SERVER),
        *("--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"),
        *("--pid", f"/proc/self/fd/{_READY}", "--netns", f"/proc/self/fd/{_NAMESPACE}"),
    ]


def _kept(command: list[str]) -> list[str]:
    """Return a command that runs `command` until the exit descriptor is closed elsewhere."""
    return [sys.executable, "-I", "-S", "-c", _KEEPER, str(_EXIT), *command]
