"""A network for ordinary users, also where /dev/net/tun is for root alone.

In: the programs that shall not be there, and a name server. Out: a mount namespace in which
anybody may open /dev/net/tun, and the arguments of `subprocess` that put a user's process into it.
The device asks for no privilege: who opens it can do something in network namespaces of their own.
Source: tun(4), the kernel's networking/tuntap.rst.
"""

import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from runtime import rootless, syscalls

PATH = "/dev/net/tun"
HELPERS = ("slirp4netns", "pasta")
_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")
_NUMBER = os.makedev(10, 200)


def show(hidden: Sequence[str] = (), server: str = "") -> None:
    """Enter a new mount namespace that has the device and not the programs `hidden`.

    `server`: the address of the only name server, empty for those of the machine.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    rootless.make_private()
    directory = os.path.dirname(PATH)
    syscalls.mount("tmpfs", directory, "tmpfs", 0, "mode=0755")
    os.mknod(PATH, 0o020666, _NUMBER)
    os.chmod(PATH, 0o666)
    for name in hidden:
        for directory in _DIRECTORIES:
            path = f"{directory}/{name}"
            if os.access(path, os.X_OK):
                syscalls.mount("/dev/null", path, None, syscalls.MS_BIND)
    if server:
        path = f"{os.path.dirname(PATH)}/resolv.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"nameserver {server}\n")
        syscalls.mount(path, os.path.realpath("/etc/resolv.conf"), None, syscalls.MS_BIND)


@contextmanager
def shown(
    user: pwd.struct_passwd, hidden: Sequence[str], server: str = ""
) -> Iterator[dict[str, Any]]:
    """Give the arguments of `subprocess` for processes of `user` in such a namespace."""
    namespace = _made(lambda: show(hidden, server))

    def enter() -> None:
        cwd = os.getcwd()
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        os.chdir(cwd)
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    try:
        yield {"preexec_fn": enter}
    finally:
        os.close(namespace)


def _made(act: Callable[[], None]) -> int:
    """Return the mount namespace that `act` makes."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    waiting, going = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(going)
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
