"""The modes that git has for files: read from a repository's index, without running git.

In: a directory in a checkout. Out: 0644 or 0755 for each regular file below it that git knows.
Reading the file ourselves runs no hooks and obeys no configuration (S25). What cannot be read as an
index counts as none; then the caller goes by the disk. Source: git's gitformat-index(5), versions 2
to 4. Entries that lie in a shared index (`core.splitIndex`) are not looked for.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Modes: TypeAlias = Mapping[bytes, int]

_MOST = 1 << 28
_EXTENDED = 0x4000
_KINDS = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, 0o160000)
"""Files, links, directories of a sparse index, and commits of submodules."""

_HASHES = (20, 32)
"""Bytes of a SHA-1, and of a SHA-256 in repositories of that format."""


def read_modes(directory: str) -> Modes:
    """Return the mode of each file below `directory` that the index has, by its path in there."""
    place = os.path.realpath(directory)
    top = place
    while not os.path.lexists(f"{top}/.git"):
        if top == "/":
            return {}
        top = os.path.dirname(top)
    data = _read(_index_of(top))
    prefix = os.fsencode(os.path.relpath(place, top)) + b"/" if place != top else b""
    for length in _HASHES:
        try:
            entries = list(_entries(data, length))
        except (ValueError, struct.error):
            continue
        return {
            path.removeprefix(prefix): 0o755 if mode & 0o111 else 0o644
            for path, mode in entries
            if stat.S_ISREG(mode) and path.startswith(prefix)
        }
    return {}


def _index_of(top: str) -> str:
    """Return where the index of the checkout `top` is; `.git` is a file in a further worktree."""
    git = f"{top}/.git"
    if not os.path.isfile(git):
        return f"{git}/index"
    target = _read(git).removeprefix(b"gitdir:").strip()
    return f"{os.path.join(top, os.fsdecode(target))}/index"


def _read(path: str) -> bytes:
    """Return what a regular file holds, nothing where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST:
        os.close(fd)
        return b""
    with open(fd, "rb") as file:
        return file.read()


def _entries(data: bytes, length: int) -> Iterator[tuple[bytes, int]]:
    """Yield path and mode. Raises ValueError or struct.error when `data` is no index."""
    signature, version, count = struct.unpack_from(">4sII", data)
    if signature != b"DIRC" or version not in (2, 3, 4):
        raise ValueError("not an index")
    at, path = 12, b""
    for _ in range(count):
        start = at
        (mode,) = struct.unpack_from(">I", data, at + 24)
        (flags,) = struct.unpack_from(">H", data, at + 40 + length)
        at += 42 + length + (2 if flags & _EXTENDED else 0)
        if version == 4:
            dropped, at = _number(data, at)
            path = path[: len(path) - dropped]
        else:
            path = b""
        end = data.index(b"\0", at)
        path += data[at:end]
        # Up to version 3 entries are padded to eight bytes, by at least one.
        at = end + 1 if version == 4 else start + (end - start + 8) // 8 * 8
        if not path or path.startswith(b"/") or stat.S_IFMT(mode) not in _KINDS:
            raise ValueError("not an entry")
        yield path, mode


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return an offset-encoded number and where it ends; see `encode_varint` of git."""
    byte = data[at : at + 1]
    value = byte[0] & 0x7F if byte else 0
    while byte and byte[0] & 0x80:
        at += 1
        byte = data[at : at + 1]
        value = (value + 1 << 7) + (byte[0] & 0x7F if byte else 0)
    if not byte:
        raise ValueError("cut short")
    return value, at + 1
