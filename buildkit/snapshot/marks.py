"""How a layer's directory says "deleted" and "nothing of what is below": overlayfs's marks.

A whiteout is a 0:0 character device, an opaque directory has an attribute: `trusted.` where the
process has the machine's own ids, `user.` in a user namespace (mount option `userxattr`). Only the
one that overlayfs heeds here counts: the other is for a step to set, and means nothing.

A file system that cannot hold such a device, another overlay above all, has empty files with an
attribute instead, in directories whose opaque mark is `x`, as is that of the layer's top (Linux
6.7). They count where the top says so: that is set by us alone, after a step.
Source: kernel's filesystems/overlayfs.rst, "whiteouts and opaque directories", "Nesting".
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache

from buildkit.errors import StoreError
from buildkit.tree.entry import below, text
from runtime.mounts import in_initial_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.tree.walk import Seen

_ABSENT = (errno.ENODATA, errno.EOPNOTSUPP)


def is_whiteout(found: os.stat_result) -> bool:
    """Say whether a file is a whiteout."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_whiteout_at(found: os.stat_result, dir_fd: int, name: bytes) -> bool:
    """Say whether a file in the directory is a whiteout of either kind.

    For trees that nobody but us has written; `seen_in` is for those of steps.
    """
    return is_whiteout(found) or is_whiteout(_seen(found, dir_fd, name))


def seen_in(layer_fd: int) -> Seen | None:
    """Return what makes devices of the whiteouts that are files; None where none are.

    `layer_fd` is the layer's top directory.
    """
    return _seen if _mark_of(layer_fd) == b"x" else None


def _seen(found: os.stat_result, dir_fd: int, name: bytes) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode) or found.st_size:
        return found
    try:
        os.getxattr(below(dir_fd, name), _whiteout_attribute(), follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return found
        raise
    fields = list(found)
    fields[0] = stat.S_IFCHR
    # What is left out is 0, also the device's number.
    return os.stat_result(fields, {"st_mtime_ns": found.st_mtime_ns, "st_rdev": 0})


def make_whiteout(dir_fd: int, name: bytes, layer_fd: int) -> None:
    """Make `name` in the directory a whiteout; nothing may be there.

    `layer_fd` is the layer's top directory. Raises StoreError where the file system can hold none.
    """
    try:
        os.mknod(name, stat.S_IFCHR | 0o000, 0, dir_fd=dir_fd)
    except PermissionError:
        _make_file(dir_fd, name, layer_fd)


def _make_file(dir_fd: int, name: bytes, layer_fd: int) -> None:
    """Make a whiteout that is a file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=dir_fd)
    try:
        os.setxattr(fd, _whiteout_attribute(), b"y")
        for directory in (dir_fd, layer_fd):
            mark = _mark_of(directory)
            if mark == b"y" and directory == layer_fd:
                raise OSError(errno.EPERM, "the top hides all that is below")
            if not mark:
                os.setxattr(directory, opaque_attribute(), b"x")
    except OSError as error:
        os.unlink(name, dir_fd=dir_fd)
        raise StoreError(
            f"the file system of the state root cannot hold deletions, such as of {text(name)!r}",
            hint="put the state root on another one, such as ext4, XFS or btrfs, with --root or "
            "PYBUILD_ROOT",
        ) from error
    finally:
        os.close(fd)


def forget_whiteout(file: int | bytes) -> None:
    """Take from a file, open or by a path, what would make it a whiteout."""
    try:
        if isinstance(file, int):
            os.removexattr(file, _whiteout_attribute())
        else:
            os.removexattr(file, _whiteout_attribute(), follow_symlinks=False)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


def copy_mark(source: int, target: int) -> None:
    """Give the open directory `target` the opaque mark of `source`, if it has one."""
    mark = _mark_of(source)
    if mark:
        os.setxattr(target, opaque_attribute(), mark)


def _mark_of(fd: int) -> bytes:
    try:
        return os.getxattr(fd, opaque_attribute())
    except OSError as error:
        if error.errno in _ABSENT:
            return b""
        raise


def _whiteout_attribute() -> str:
    return opaque_attribute().replace("opaque", "whiteout")


def is_opaque(fd: int) -> bool:
    """Say whether the open directory hides what lies below it."""
    return _mark_of(fd) == b"y"


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
