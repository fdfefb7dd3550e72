"""A file as a value.

In: what the kernel says about one name in a directory. Out: `Entry`. Names and link targets are
bytes, for that is what they are; `text` shows them. Which extended attributes count as content:
`user.` ones, file capabilities and access lists. Others (labels of security modules, `trusted.`)
are the machine's and not the tree's, and those of overlayfs are how a layer is kept here.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime import owners
from runtime.values import NamedTuple

OVERLAY_ATTRIBUTES = ("user.overlay.", "trusted.overlay.")
_KEPT = frozenset(("security.capability", "system.posix_acl_access", "system.posix_acl_default"))

Xattrs = tuple[tuple[str, bytes], ...]


class Entry(NamedTuple):
    """One name in a tree.

    `path`: from the root of the tree, no leading slash, empty for the root. `mode`: type and all
    twelve permission bits. `size`: 0 but for regular files. `inode`: (device, number) for files
    with several names, else None. `target`: of a symlink, else empty. `xattrs`: sorted by name.
    """

    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    rdev: int
    inode: tuple[int, int] | None
    target: bytes
    xattrs: Xattrs


def text(path: bytes) -> str:
    """Return `path` as it is shown and kept in documents, whatever the locale."""
    return path.decode("utf-8", "surrogateescape")


def is_content(name: str) -> bool:
    """Say whether the extended attribute `name` is part of a tree."""
    if name.startswith("user."):
        return not name.startswith(("user.overlay.", owners.ATTRIBUTE))
    return name in _KEPT


def read_xattrs(file: int | bytes) -> Xattrs:
    """Return the content attributes of an open file, or of a path that is not followed."""
    try:
        names = _list(file)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    if not names:
        return ()
    return tuple((name, _get(file, name)) for name in sorted(names) if is_content(name))


def below(dir_fd: int, name: bytes) -> bytes:
    """Return a path for calls that take no `dir_fd`; it is short, whatever the tree's depth."""
    return b"/proc/self/fd/%d/%s" % (dir_fd, name)


def entry_of(path: bytes, name: bytes, dir_fd: int, found: os.stat_result) -> Entry:
    """Return the entry of something that is neither a directory nor a regular file."""
    mode = found.st_mode
    target = b""
    if stat.S_ISLNK(mode):
        target = os.readlink(name, dir_fd=dir_fd)
    xattrs = read_xattrs(below(dir_fd, name))
    if xattrs and owners.are_recorded():
        xattrs = tuple(one for one in xattrs if not owners.is_record(one[0], mode))
    return make(path, found, target=target, xattrs=xattrs)


def make(path: bytes, found: os.stat_result, *, target: bytes = b"", xattrs: Xattrs = ()) -> Entry:
    """Return an entry from a stat result (of `owners`) and what stat does not tell."""
    mode = found.st_mode
    regular = stat.S_ISREG(mode)
    return Entry(
        path,
        mode,
        found.st_uid,
        found.st_gid,
        found.st_size if regular else 0,
        found.st_mtime_ns,
        found.st_rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0,
        (found.st_dev, found.st_ino) if regular and found.st_nlink > 1 else None,
        target,
        xattrs,
    )


def _list(file: int | bytes) -> list[str]:
    if isinstance(file, int):
        return os.listxattr(file)
    return os.listxattr(file, follow_symlinks=False)


def _get(file: int | bytes, name: str) -> bytes:
    if isinstance(file, int):
        return os.getxattr(file, name)
    return os.getxattr(file, name, follow_symlinks=False)
