"""Tar headers as bytes: ustar, with pax records where ustar has no room.

In: an entry. Out: the blocks that precede its data. Equal entries give equal bytes: no names of
users, no access times, whole seconds (as Moby BuildKit's layers have it), pax records sorted.
Source: POSIX pax, "ustar Interchange Format"; `SCHILY.xattr.` is star's, and what OCI layers use.
"""

from __future__ import annotations

import os
import stat

from buildkit.errors import StepError
from buildkit.snapshot.tarnumbers import block_sum
from buildkit.tree.entry import Entry, Xattrs, text

BLOCK = 512
END = bytes(2 * BLOCK)

_TYPES = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_LINK = b"1"
_PAX = b"x"
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_MAX_TIME = 0o77777777777
_TRAILER = b"ustar\x0000" + bytes(64)
_NO_DEVICE = b"0000000\x000000000\x00"
_XATTR = "SCHILY.xattr."


def header(entry: Entry, mtime: int, link: bytes | None = None) -> bytes:
    """Return the header of `entry`; `mtime` in seconds; `link`: it is a hard link to that path."""
    path, mode, uid, gid, size, _, rdev, _, target, xattrs = entry
    kind = _TYPES[stat.S_IFMT(mode)]
    if kind == b"5":
        path = path + b"/" if path else b"./"
    if link is not None:
        kind, size, target, xattrs = _LINK, 0, link, ()
    plain = (
        len(path) <= 100
        and len(target) <= 100
        and not xattrs
        and uid <= _MAX_ID
        and gid <= _MAX_ID
        and 0 <= mtime <= _MAX_TIME
        and size <= _MAX_SIZE
    )
    if plain:
        return _block(path, b"", mode & 0o7777, (uid, gid), size, mtime, kind, target, rdev)
    return _long(path, mode & 0o7777, (uid, gid), size, mtime, kind, target, rdev, xattrs)


def marker(path: bytes, mtime: int) -> bytes:
    """Return the header of an empty file that is a sign, not a file: `.wh.NAME`."""
    return header(Entry(path, stat.S_IFREG, 0, 0, 0, 0, 0, None, b"", ()), mtime)


def padding(size: int) -> bytes:
    """Return what follows `size` bytes of data to fill the last block."""
    return bytes(-size % BLOCK)


def _long(
    path: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    kind: bytes,
    target: bytes,
    rdev: int,
    xattrs: Xattrs,
) -> bytes:
    records: dict[bytes, bytes] = {}
    prefix, name = _split(path)
    if name is None:
        records[b"path"] = path
        name = path[:100]
    if len(target) > 100:
        records[b"linkpath"] = target
        target = target[:100]
    uid, gid = owner
    if uid > _MAX_ID:
        records[b"uid"] = b"%d" % uid
        uid = 0
    if gid > _MAX_ID:
        records[b"gid"] = b"%d" % gid
        gid = 0
    if size > _MAX_SIZE:
        records[b"size"] = b"%d" % size
    if not 0 <= mtime <= _MAX_TIME:
        records[b"mtime"] = b"%d" % mtime
        mtime = 0
    for key, value in xattrs:
        if "=" in key:
            raise StepError(
                f"the extended attribute {key!r} of /{text(path)} has no form in a layer",
                hint="attribute names must not contain an equals sign",
            )
        records[os.fsencode(_XATTR + key)] = value
    room = size if size <= _MAX_SIZE else 0
    block = _block(name, prefix, mode, (uid, gid), room, mtime, kind, target, rdev)
    return _pax(path, records) + block if records else block


def _split(path: bytes) -> tuple[bytes, bytes | None]:
    """Return prefix and name as ustar splits them; the name is None when there is no way."""
    if len(path) <= 100:
        return b"", path
    # The name may be 100 long, so the slash stands at least there; a prefix is 155 at most.
    slash = path.find(b"/", len(path) - 101, 156)
    if slash < 1 or slash == len(path) - 1:
        return b"", None
    return path[:slash], path[slash + 1 :]


def _pax(path: bytes, records: dict[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    name = b"PaxHeaders/" + path.rstrip(b"/").rpartition(b"/")[2][:80]
    block = _block(name, b"", 0o644, (0, 0), len(body), 0, _PAX, b"", 0)
    return block + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """Return length, blank, `KEY=VALUE`, newline; the length counts its own digits too."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    if len(str(size)) > len(str(rest)):
        size += 1
    return b"%d %s=%s\n" % (size, key, value)


def _block(
    name: bytes,
    prefix: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    kind: bytes,
    target: bytes,
    rdev: int,
) -> bytes:
    device = b"%07o\0%07o\0" % (os.major(rdev), os.minor(rdev)) if rdev else _NO_DEVICE
    head = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        mode,
        *owner,
        size,
        mtime,
    )
    tail = b"".join(
        (kind, target.ljust(100, b"\0"), _TRAILER, device, prefix.ljust(155, b"\0"), bytes(12))
    )
    return head + b"%06o\0 " % block_sum(head + b"        " + tail) + tail
