"""The user namespace of a container that shall have other ids than its caller: `--userns`.

In: an `IdMap` from the container's ids to the caller's. Out: the namespace as a descriptor, with a
network namespace that belongs to it, and a process forked into it. It lies below the namespace
that the monitor is in, be that the machine's or an ordinary user's.
Source: user_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import os

from runtime import syscalls
from runtime.errors import UnsupportedError
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.idmap import IdMap, Range


class UserNamespace(NamedTuple):
    """`fd` keeps it alive; `network` is a network namespace it owns, -1 where it has none."""

    fd: int
    network: int = -1

    def close(self) -> None:
        """Let go of both."""
        os.close(self.fd)
        if self.network >= 0:
            os.close(self.network)


def make(ids: IdMap, *, network: bool) -> UserNamespace:
    """Make a namespace with these ids. Raises UnsupportedError where there can be none.

    The caller must hold the outer ids, and CAP_SETUID and CAP_SETGID over them.
    """
    made_read, made = os.pipe2(os.O_CLOEXEC)
    end, end_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(end_write)
            syscalls.unshare(syscalls.CLONE_NEWUSER | (syscalls.CLONE_NEWNET if network else 0))
            os.write(made, b"m")
            os.read(end, 1)
        except OSError as error:
            os.write(made, (error.strerror or "").lower().encode())
        finally:
            os._exit(0)
    os.close(made)
    os.close(end)
    pidfd = os.pidfd_open(pid)
    try:
        said = os.read(made_read, 1000)
        if said != b"m":
            raise UnsupportedError("a user namespace for the container", said.decode())
        return _mapped(outer_pid(pidfd), ids, network=network)
    finally:
        for fd in (made_read, end_write, pidfd):
            os.close(fd)
        os.waitpid(pid, 0)


def _mapped(pid: int, ids: IdMap, *, network: bool) -> UserNamespace:
    for name, ranges in (("uid_map", ids.users), ("gid_map", ids.groups)):
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, _text(ranges).encode())
        except OSError as error:
            raise UnsupportedError(
                "a user namespace for the container",
                f"the kernel refuses its {name}: {(error.strerror or '').lower()}",
                hint="are all of these ids the caller's? see /etc/subuid, /etc/subgid",
            ) from error
        finally:
            os.close(fd)
    user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    if not network:
        return UserNamespace(user)
    return UserNamespace(user, os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))


def _text(ranges: tuple[Range, ...]) -> str:
    return "".join(f"{one.inside} {one.outside} {one.length}\n" for one in ranges)


def outer_pid(pidfd: int) -> int:
    """Return the number by which /proc knows a process, which may be another than ours."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="utf-8") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith("Pid:")), -1)


def fork_into(user: int, prepare: Callable[[], object], main: Callable[[], object]) -> int:
    """Fork process 1 of a new pid namespace in the user namespace `user`; return its number.

    `prepare` is called in it while it has the caller's ids still, `main` in the end. The caller is
    process 1 of its own pid namespace, so that it becomes the parent. Raises UnsupportedError.
    """
    number_read, number = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(number_read)
            _enter(user, prepare)
            syscalls.unshare(syscalls.CLONE_NEWPID)
            inner = os.fork()
            if inner == 0:
                os.close(number)
                main()
            os.write(number, str(inner).encode())
        except OSError as error:
            os.write(number, (error.strerror or "").lower().encode())
        finally:
            os._exit(125)
    os.close(number)
    answer = os.read(number_read, 1000).decode()
    os.close(number_read)
    os.waitpid(pid, 0)
    if not answer.isdecimal():
        raise UnsupportedError("a process in the user namespace of the container", answer)
    return int(answer)


def _enter(user: int, prepare: Callable[[], object]) -> None:
    prepare()
    syscalls.setns(user, syscalls.CLONE_NEWUSER)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
