"""What a directory holds, as rows; and what a file holds, as a digest.

In: descriptors of directories and files. Out: plain tuples, 50,000 of them in a scan, which is why
a row is no NamedTuple (`marshal`, which keeps them, takes no other). Nothing but regular files is
ever opened for reading (S12), and never through a link.

A row is `(name, mode, size, mtime_ns, ctime_ns, inode, links, uid, gid, rdev, device)`. Of a
directory name, mode, inode, owner and device count, the rest is 0: its own size and times change
with what is ignored in it.
"""

from __future__ import annotations

import errno
import os
import stat

from buildkit.context.paths import byte_order
from buildkit.oci.digest import hasher, sha256_of
from runtime import owners
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Row: TypeAlias = tuple[str, int, int, int, int, int, int, int, int, int, int]
Xattrs: TypeAlias = tuple[tuple[str, bytes], ...]

CHUNK = 1 << 18

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KEPT_XATTR = "security.capability"


class Content(NamedTuple):
    """What a file says besides its row: sha256 in hex and extended attributes.

    Of a symbolic link `sha256` holds the target instead.
    """

    sha256: str
    xattrs: Xattrs


def row_of(name: str, found: os.stat_result) -> Row:
    """Return the row of what `found` describes."""
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        return (
            name, mode, 0, 0, 0, found.st_ino, 0, found.st_uid, found.st_gid, 0, found.st_dev,
        )  # fmt: skip
    return (
        name, mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino,
        found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_dev,
    )  # fmt: skip


def read_rows(fd: int) -> tuple[Row, ...]:
    """Return the rows of an open directory, in the order of their names' bytes.

    What vanishes while it is read is left out.
    """
    rows: list[Row] = []
    recorded = owners.are_recorded()
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
                if recorded:
                    found = owners.seen(found, owners.at(fd, entry.name))
                rows.append(row_of(entry.name, found))
            except FileNotFoundError:
                continue
    if all(row[0].isascii() for row in rows):
        # Names differ, so nothing behind them is compared; ten times faster than by a key.
        rows.sort()
    else:
        rows.sort(key=lambda row: byte_order(row[0]))
    return tuple(rows)


def read_xattrs(target: int | str) -> Xattrs:
    """Return the extended attributes that a COPY takes along, sorted.

    Those are `user.*` and `security.capability`: others are the machine's own affair (labels,
    access lists), and those of overlayfs would act in a layer. `target` is a descriptor or a path
    whose last link is not followed.
    """
    follow = not isinstance(target, str)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
        kept = [name for name in names if is_kept(name)]
        return tuple(
            (name, os.getxattr(target, name, follow_symlinks=follow)) for name in sorted(kept)
        )
    except OSError:
        # No attributes on this file system, or one vanished: none is what COPY can keep.
        return ()


def is_kept(name: str) -> bool:
    """Say whether a COPY takes the extended attribute `name` along."""
    if name.startswith("user."):
        return not name.startswith(("user.overlay.", owners.ATTRIBUTE))
    return name == _KEPT_XATTR


def open_file(name: str, directory: int) -> int:
    """Open what is called `name` for reading; the caller checks that it is a regular file."""
    return os.open(name, _FILE, dir_fd=directory)


def read_content(row: Row, directory: int) -> tuple[Row, Content]:
    """Read the file or link `row` of an open directory; return its row as read, and its content.

    Raises OSError when it is gone or no longer what it was.
    """
    name = row[0]
    if stat.S_ISLNK(row[1]):
        target = os.readlink(name, dir_fd=directory)
        xattrs = read_xattrs(f"/proc/self/fd/{directory}/{name}")
        kept = tuple(one for one in xattrs if not owners.is_record(one[0], row[1]))
        return row, Content(target, kept)
    fd = open_file(name, directory)
    try:
        found = owners.stat_of(fd)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        for _ in range(3):
            before = row_of(name, found)
            content = Content(hashed(fd), read_xattrs(fd))
            found = owners.stat_of(fd)
            if row_of(name, found) == before:
                break
            os.lseek(fd, 0, os.SEEK_SET)
        return row_of(name, found), content
    finally:
        os.close(fd)


def hashed(fd: int) -> str:
    """Return the sha256 of an open regular file, from where it is read next, in hex."""
    want = min(os.fstat(fd).st_size, CHUNK) + 1
    data = os.read(fd, want)
    # Of a regular file a short read is the last one.
    if len(data) < want:
        return sha256_of(data).hexdigest()
    digest = hasher(None)
    digest.update(data)
    while len(data) == want:
        want = CHUNK
        data = os.read(fd, want)
        digest.update(data)
    return digest.hexdigest()
