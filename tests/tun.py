"""A network for ordinary users, also where /dev/net/tun is for root alone.

In: the programs that shall not be there, and a name server. Out: a mount namespace in which
anybody may open /dev/net/tun. The device asks for no privilege: who opens it can do something in
network namespaces of their own. Source: tun(4), the kernel's networking/tuntap.rst.
"""

import os
import pwd
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from runtime import syscalls
from tests import namespaces

PATH = "/dev/net/tun"
HELPERS = ("slirp4netns", "pasta")
_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")
_NUMBER = os.makedev(10, 200)


def show(hidden: Sequence[str] = (), server: str = "") -> None:
    """Mount the device for everybody, and something over the programs `hidden`.

    `server`: the address of the only name server, empty for those of the machine.
    """
    directory = os.path.dirname(PATH)
    syscalls.mount("tmpfs", directory, "tmpfs", 0, "mode=0755")
    os.mknod(PATH, 0o020666, _NUMBER)
    os.chmod(PATH, 0o666)
    for name in hidden:
        for place in _DIRECTORIES:
            path = f"{place}/{name}"
            if os.access(path, os.X_OK):
                syscalls.mount("/dev/null", path, None, syscalls.MS_BIND)
    if server:
        path = f"{directory}/resolv.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"nameserver {server}\n")
        syscalls.mount(path, os.path.realpath("/etc/resolv.conf"), None, syscalls.MS_BIND)


def shown(
    user: pwd.struct_passwd, hidden: Sequence[str], server: str = ""
) -> AbstractContextManager[dict[str, Any]]:
    """Give the arguments of `subprocess` for processes of `user` in such a namespace."""
    return namespaces.entered(lambda: show(hidden, server), user)
