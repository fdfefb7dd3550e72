"""The user namespace of a container that shall have other ids than its caller: `--userns`.

In: an `IdMap` from the container's ids to the caller's, and a namespace with these ids where there
is one already. Out: the namespace as a descriptor, with a network namespace that belongs to it, and
a process forked into it. It lies below the namespace that the monitor is in, be that the machine's
or an ordinary user's.
Source: user_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from runtime import process, syscalls
from runtime.errors import UnsupportedError
from runtime.idmap import IdMap, Range
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    flags = syscalls.CLONE_NEWUSER | (syscalls.CLONE_NEWNET if network else 0)
    with _child(lambda: syscalls.unshare(flags)) as pid:
        _map(pid, ids)
        return _opened(pid, network=network)


def join(there: int, ids: IdMap, *, network: bool) -> UserNamespace:
    """Return the namespace that the descriptor `there` is of, which is used up; it must have `ids`.

    Raises UnsupportedError where it may not be entered, or has other ones.
    """
    try:
        with _child(lambda: _enter_there(there, network=network)) as pid:
            with open(f"/proc/{pid}/setgroups", encoding="ascii") as file:
                if file.read().strip() == "deny":
                    raise UnsupportedError(
                        "the user namespace of others", "nobody may set groups in it"
                    )
            if ids_of(pid) != in_order(ids):
                raise UnsupportedError(
                    "the user namespace of others",
                    "its ids are not those that the container was made for",
                    hint="make the container anew",
                )
            return _opened(pid, network=network)
    finally:
        os.close(there)


def ids_at(there: int) -> IdMap:
    """Return the ids of the namespace `there`, in order. Raises UnsupportedError."""
    with _child(lambda: syscalls.setns(there, syscalls.CLONE_NEWUSER)) as pid:
        return ids_of(pid)


def ids_of(pid: int) -> IdMap:
    """Return the ids that a process has, as they are in our own namespace, in order."""
    found = []
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", encoding="ascii") as lines:
            found.append(tuple(Range(*map(int, line.split())) for line in lines))
    return in_order(IdMap(found[0], found[1]))


def in_order(ids: IdMap) -> IdMap:
    """Return the same ids in the order of those inside, in which the kernel may put them."""
    return IdMap(tuple(sorted(ids.users)), tuple(sorted(ids.groups)))


def _enter_there(there: int, *, network: bool) -> None:
    syscalls.setns(there, syscalls.CLONE_NEWUSER)
    if network:
        syscalls.unshare(syscalls.CLONE_NEWNET)


@contextmanager
def _child(enter: Callable[[], object]) -> Iterator[int]:
    """Give the number, in /proc, of a child that has entered namespaces, and end it afterwards."""
    made_read, made = os.pipe2(os.O_CLOEXEC)
    end, end_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(end_write)
            enter()
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
        yield outer_pid(pidfd)
    finally:
        for fd in (made_read, end_write, pidfd):
            os.close(fd)
        os.waitpid(pid, 0)


def _map(pid: int, ids: IdMap) -> None:
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


def _opened(pid: int, *, network: bool) -> UserNamespace:
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
    pid = process.fork()
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
    # Whoever is root in there already must not look at it before it executes.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.setns(user, syscalls.CLONE_NEWUSER)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
