"""Mount namespaces in which a test shows a user something that root alone could mount.

In: what to do in the namespace, as root. Out: the arguments of `subprocess` that put a process of
the user's into it. Source: mount_namespaces(7), setns(2).
"""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runtime import rootless, syscalls


@contextmanager
def entered(act: Callable[[], None], user: pwd.struct_passwd | None) -> Iterator[dict[str, Any]]:
    """Give the arguments of `subprocess`; `act` has made the mounts. No user: root."""
    namespace = _made(act)

    def enter() -> None:
        cwd = os.getcwd()
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        os.chdir(cwd)
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

    try:
        yield {"preexec_fn": enter}
    finally:
        os.close(namespace)


def leave() -> None:
    """Enter a new mount namespace of our own."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    rootless.make_private()


def _made(act: Callable[[], None]) -> int:
    """Return the mount namespace that `act` has mounted in."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    waiting, going = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(going)
            leave()
            act()
            os.write(writing, b"r")
            os.read(waiting, 1)
        finally:
            os._exit(0)
    os.close(writing)
    os.close(waiting)
    try:
        assert os.read(reading, 1) == b"r"
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(reading)
        os.close(going)
        os.waitpid(pid, 0)
