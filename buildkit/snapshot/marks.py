"""How a layer's directory says "deleted" and "nothing of what is below": overlayfs's marks.

A whiteout is a 0:0 character device, an opaque directory has an attribute: `trusted.` where the
process has the machine's own ids, `user.` in a user namespace (mount option `userxattr`). Only the
one that overlayfs heeds here counts: the other is for a step to set, and means nothing.
Source: kernel's filesystems/overlayfs.rst.
"""

import errno
import os
import stat
from functools import cache

from runtime.mounts import in_initial_user_namespace

_ABSENT = (errno.ENODATA, errno.EOPNOTSUPP)


def is_whiteout(found: os.stat_result) -> bool:
    """Say whether a file is a whiteout."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def make_whiteout(dir_fd: int, name: bytes) -> None:
    """Make `name` in the directory a whiteout; nothing may be there."""
    os.mknod(name, stat.S_IFCHR | 0o000, 0, dir_fd=dir_fd)


def is_opaque(fd: int) -> bool:
    """Say whether the open directory hides what lies below it."""
    try:
        return os.getxattr(fd, opaque_attribute()) == b"y"
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise


def make_opaque(fd: int) -> None:
    """Make the open directory hide what lies below it."""
    os.setxattr(fd, opaque_attribute(), b"y")


def make_transparent(fd: int) -> None:
    """Undo `make_opaque`."""
    try:
        os.removexattr(fd, opaque_attribute())
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


@cache
def opaque_attribute() -> str:
    """Return the attribute's name; the process must be in its namespaces by now."""
    kind = "trusted" if in_initial_user_namespace() else "user"
    return f"{kind}.overlay.opaque"
