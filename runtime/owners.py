"""Who owns a file: what the kernel says, or a record beside the file where it knows one id only.

In a user namespace with a single id every file belongs to 0:0, whatever it should belong to. There
the true owner is kept in an extended attribute, which is part of no layer: on regular files and
directories `user.pybuild.owner`, `UID:GID` in decimal; others take no `user.` attributes, and
nothing executes them, so there it is a `security.capability` (revision 3) whose two words of
permitted and inheritable bits hold user and group, with a mark in the words behind. overlayfs
copies both up with the file. Everywhere else each function is the system call that it is named
for, and no more. Source: xattr(7), capabilities(7), "File capabilities".
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from functools import cache

ATTRIBUTE = "user.pybuild.owner"
CAPABILITY = "security.capability"

_REVISION = 0x03000000
_MARK = 0x70796264
_LAYOUT = struct.Struct("<5I")
_MAX_ID = (1 << 32) - 2
_NONE = (errno.ENODATA, errno.EOPNOTSUPP)
# What cannot have an owner of its own, such as a pipe or a terminal, has none in a layer either.
_NOT_FOR_THIS = (errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL)

File = int | bytes | str
"""A descriptor (O_PATH will do), or a path whose last link is not followed."""


@cache
def are_recorded() -> bool:
    """Say whether this process has one id only; it must be in its namespaces by now."""
    return any(_ids(name) == 1 for name in ("uid_map", "gid_map"))


def _ids(name: str) -> int:
    try:
        with open(f"/proc/self/{name}", encoding="utf-8") as lines:
            return sum(int(line.split()[2]) for line in lines)
    except FileNotFoundError:
        return 0


def stat_of(fd: int) -> os.stat_result:
    """fstat(2), with the true owner."""
    found = os.fstat(fd)
    return seen(found, fd) if are_recorded() else found


def stat_at(name: bytes | str, dir_fd: int) -> os.stat_result:
    """Stat `name` in a directory without following it, with the true owner."""
    found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    return seen(found, at(dir_fd, name)) if are_recorded() else found


def at(dir_fd: int, name: bytes | str) -> bytes:
    """Return a path for calls that take no `dir_fd`; it is short, whatever the tree's depth."""
    return b"/proc/self/fd/%d/%s" % (dir_fd, os.fsencode(name))


def seen(found: os.stat_result, file: File) -> os.stat_result:
    """Return what stat(2) said about `file`, with the true owner."""
    if not are_recorded():
        return found
    owner = recorded(found.st_mode, file)
    if owner is None:
        return found
    return os.stat_result(
        (
            found.st_mode, found.st_ino, found.st_dev, found.st_nlink, *owner, found.st_size,
            int(found.st_atime), int(found.st_mtime), int(found.st_ctime),
        ),
        {
            "st_atime": found.st_atime,
            "st_mtime": found.st_mtime,
            "st_ctime": found.st_ctime,
            "st_atime_ns": found.st_atime_ns,
            "st_mtime_ns": found.st_mtime_ns,
            "st_ctime_ns": found.st_ctime_ns,
            "st_rdev": found.st_rdev,
            "st_blocks": found.st_blocks,
            "st_blksize": found.st_blksize,
        },
    )  # fmt: skip


def recorded(mode: int, file: File) -> tuple[int, int] | None:
    """Return user and group in the record of a file with this mode, None where there is none."""
    path, follow = _path(file)
    return recorded_at(path, mode, follow_symlinks=follow)


def recorded_at(path: bytes | str, mode: int, *, follow_symlinks: bool) -> tuple[int, int] | None:
    """Return what `recorded` does, of a path that may be followed."""
    name = _attribute(mode)
    try:
        value = os.getxattr(path, name, follow_symlinks=follow_symlinks)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise
    return _plain(value) if name == ATTRIBUTE else _hidden(value)


def give(file: File, uid: int, gid: int) -> None:
    """Give a file another owner; -1 leaves one as it is.

    As with fchown(2) and lchown(2), set-id bits and file capabilities go. Raises OSError.
    """
    path, follow = _path(file)
    if not are_recorded():
        if isinstance(file, int):
            os.fchown(file, uid, gid)
        else:
            os.chown(path, uid, gid, follow_symlinks=False)
        return
    give_recorded(path, uid, gid, follow_symlinks=follow)


def give_recorded(
    path: bytes | str, uid: int, gid: int, *, follow_symlinks: bool, explicit: bool = False
) -> None:
    """Do as `give` does where owners are recorded; `explicit`: record even that it is 0:0."""
    mode = os.stat(path, follow_symlinks=follow_symlinks).st_mode
    was = recorded_at(path, mode, follow_symlinks=follow_symlinks)
    # The kernel clears what an owner may not pass on, and refuses what is not ours.
    own = tuple(-1 if wanted == -1 else 0 for wanted in (uid, gid))
    os.chown(path, *own, follow_symlinks=follow_symlinks)
    had = was or (0, 0)
    owner = (had[0] if uid == -1 else uid, had[1] if gid == -1 else gid)
    if owner != (0, 0) or was or explicit:
        note(path, mode, *owner, follow_symlinks=follow_symlinks)


def note(path: bytes | str, mode: int, uid: int, gid: int, *, follow_symlinks: bool) -> None:
    """Write the record of a file with this mode, and change nothing else. Raises OSError."""
    name = _attribute(mode)
    value = b"%d:%d" % (uid, gid)
    if name == CAPABILITY:
        value = _LAYOUT.pack(_REVISION, uid, gid, _MARK, _MARK) + bytes(4)
    try:
        os.setxattr(path, name, value, follow_symlinks=follow_symlinks)
    except OSError as error:
        if name == ATTRIBUTE or stat.S_ISLNK(mode) or error.errno not in _NOT_FOR_THIS:
            raise


def is_record(name: str, mode: int) -> bool:
    """Say whether the attribute `name` of a file with this mode is no more than a record."""
    return name == ATTRIBUTE or (
        name == CAPABILITY and are_recorded() and _attribute(mode) == CAPABILITY
    )


def _attribute(mode: int) -> str:
    return ATTRIBUTE if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else CAPABILITY


def _path(file: File) -> tuple[bytes | str, bool]:
    return (b"/proc/self/fd/%d" % file, True) if isinstance(file, int) else (file, False)


def _plain(value: bytes) -> tuple[int, int] | None:
    """Read a record; a step can write anything there, and what is no record is none."""
    uid, colon, gid = value.partition(b":")
    if not colon or not uid.isdigit() or not gid.isdigit() or len(value) > 21:
        return None
    owner = (int(uid), int(gid))
    return owner if max(owner) <= _MAX_ID else None


def _hidden(value: bytes) -> tuple[int, int] | None:
    if len(value) < _LAYOUT.size:
        return None
    _revision, uid, gid, *marks = _LAYOUT.unpack_from(value)
    return (uid, gid) if marks == [_MARK, _MARK] and max(uid, gid) <= _MAX_ID else None
