"""How a layer's directory says "deleted" and "nothing of what is below": overlayfs's marks.

A whiteout is a 0:0 character device, an opaque directory has an attribute: `trusted.` where the
process has the machine's own ids, `user.` in a user namespace (mount option `userxattr`).
Source: kernel's filesystems/overlayfs.rst.
"""

import errno
import os
import stat

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_FORBIDDEN = (errno.EPERM, errno.EOPNOTSUPP)
_ABSENT = (errno.ENODATA, errno.EOPNOTSUPP)


def is_whiteout(found: os.stat_result) -> bool:
    """Say whether a file is a whiteout."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def make_whiteout(dir_fd: int, name: bytes) -> None:
    """Make `name` in the directory a whiteout; nothing may be there."""
    os.mknod(name, stat.S_IFCHR | 0o000, 0, dir_fd=dir_fd)


def is_opaque(fd: int) -> bool:
    """Say whether the open directory hides what lies below it."""
    for name in _OPAQUE:
        try:
            if os.getxattr(fd, name) == b"y":
                return True
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
    return False


def make_opaque(fd: int) -> None:
    """Make the open directory hide what lies below it."""
    try:
        os.setxattr(fd, _OPAQUE[0], b"y")
    except OSError as error:
        if error.errno not in _FORBIDDEN:
            raise
        os.setxattr(fd, _OPAQUE[1], b"y")


def make_transparent(fd: int) -> None:
    """Undo `make_opaque`."""
    for name in _OPAQUE:
        try:
            os.removexattr(fd, name)
        except OSError as error:
            if error.errno not in _ABSENT and error.errno != errno.EPERM:
                raise
