"""Reading a tar: one member at a time, from a stream, holding nothing but the current header.

In: a reader of an uncompressed tar. Out: members with clean names, and their content. Understands
ustar, pax and GNU's long names; sparse members, unknown types, broken headers and endless
extensions are refused (docs/security.md, S19). What a header-only type (a link, a directory)
says about its size is ignored, as in Go's archive/tar, which most image tools read with.
"""

from __future__ import annotations

import stat

from buildkit.content.streams import CHUNK, Reader
from buildkit.errors import ImageError
from buildkit.snapshot.tarnumbers import (
    MAX_ID,
    MAX_SIZE,
    block_sum,
    decimal,
    mtime,
    nanoseconds,
    number,
    signed_sum,
    within,
)
from buildkit.tree.entry import Xattrs, is_content, text
from runtime.values import NamedTuple

_BLOCK = 512
_MAX_EXTENSION = 1 << 20
"""Bytes of all extended headers of one member: they are what is held."""
_ZERO = bytes(_BLOCK)
_XATTR = b"SCHILY.xattr."
_TYPES = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
_LINK = b"1"


class Member(NamedTuple):
    """A member. `path` is relative, without `.`, `..` and empty parts; empty for the root.

    `mode` has the type. `link`: this is another name of the member with that path (clean too),
    and the other fields do not count. `target` of a symlink is as it was written. `device` is
    major and minor.
    """

    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    device: tuple[int, int]
    target: bytes
    xattrs: Xattrs
    link: bytes | None


class TarReader:
    """Reads the members of one tar in order."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._gap = 0

    def next(self) -> Member | None:
        """Return the next member, None at the end; what was not read of the last is skipped."""
        self._skip(self._left + self._gap)
        self._left = self._gap = 0
        pax: dict[bytes, bytes] = {}
        held = 0
        while True:
            header = self._header()
            if header is None:
                if pax:
                    raise ImageError("the tar ends after an extended header")
                return None
            kind = header[156:157]
            if kind in (b"x", b"L", b"K"):
                held += self._extend(pax, kind, header)
                if held > _MAX_EXTENSION:
                    raise ImageError(f"the extended headers of a tar member have {held} bytes")
            elif kind == b"g":
                self._extension(header)
            else:
                member = _member(header, kind, pax)
                if stat.S_ISREG(member.mode) and member.link is None:
                    self._left = member.size
                    self._gap = -member.size % _BLOCK
                return member

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes of the current member's content, b"" at its end."""
        size = min(size, self._left)
        if not size:
            return b""
        if self._at == len(self._buffer):
            self._fill()
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        self._left -= len(data)
        return data

    def drain(self) -> None:
        """Read the source to its end, whatever is there."""
        self._buffer = b""
        self._at = 0
        while self._source.read(CHUNK):
            pass

    def _header(self) -> bytes | None:
        """Return the next header, None at two blocks of zeros or where the stream ends."""
        if self._at == len(self._buffer) and not self._refill():
            return None
        header = self._exactly(_BLOCK)
        if header == _ZERO:
            if self._at == len(self._buffer) and not self._refill():
                return None
            if self._exactly(_BLOCK) == _ZERO:
                return None
            raise ImageError("a tar header of zeros is followed by something else")
        said = number(header[148:156], "checksum")
        plain = header[:148] + b"        " + header[156:]
        if said != block_sum(plain) and said != signed_sum(plain):
            raise ImageError("a tar header has a wrong checksum")
        return header

    def _extend(self, pax: dict[bytes, bytes], kind: bytes, header: bytes) -> int:
        """Take an extended header; return how many bytes it has."""
        data = self._extension(header)
        if kind == b"x":
            pax.update(_records(data))
        else:
            pax[b"path" if kind == b"L" else b"linkpath"] = data.rstrip(b"\0")
        return len(data)

    def _extension(self, header: bytes) -> bytes:
        size = within(number(header[124:136], "size"), MAX_SIZE, "size")
        if size > _MAX_EXTENSION:
            raise ImageError(f"an extended tar header has {size} bytes")
        data = self._exactly(size)
        self._skip(-size % _BLOCK)
        return data

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            self._fill()
        data = self._buffer[self._at : self._at + size]
        self._at += size
        return data

    def _skip(self, size: int) -> None:
        while size:
            if self._at == len(self._buffer):
                self._fill()
            step = min(size, len(self._buffer) - self._at)
            self._at += step
            size -= step

    def _fill(self) -> None:
        if not self._refill():
            raise ImageError("the tar is cut short")

    def _refill(self) -> bool:
        data = self._source.read(CHUNK)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return bool(data)


def clean(path: bytes, what: str) -> bytes:
    """Return `path` without a leading slash and `.` parts. Refuses `..` and NUL."""
    if b"\0" in path:
        raise ImageError(f"{what} holds a NUL: {path[:80]!r}")
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ImageError(f"{what} leads out of the tree: {text(path)[:200]!r}")
    return b"/".join(parts)


def _member(header: bytes, kind: bytes, pax: dict[bytes, bytes]) -> Member:
    path = pax.get(b"path") or _name(header)
    if any(key.startswith(b"GNU.sparse.") for key in pax):
        raise ImageError(f"{text(path)[:200]!r} is a sparse member, which layers cannot have")
    mode = _TYPES.get(kind)
    if mode is None and kind != _LINK:
        raise ImageError(f"{text(path)[:200]!r} is a tar member of unknown type {kind!r}")
    if mode == stat.S_IFREG and path.endswith(b"/"):
        mode = stat.S_IFDIR
    target = pax.get(b"linkpath") or header[157:257].partition(b"\0")[0]
    return Member(
        path=clean(path, "name"),
        mode=(mode or stat.S_IFREG) | (number(header[100:108], "mode") & 0o7777),
        uid=_numeric(pax, b"uid", header[108:116], MAX_ID),
        gid=_numeric(pax, b"gid", header[116:124], MAX_ID),
        size=_numeric(pax, b"size", header[124:136], MAX_SIZE),
        mtime_ns=_time(pax, header[136:148]),
        device=_device(header) if kind in (b"3", b"4") else (0, 0),
        target=target,
        xattrs=_xattrs(pax) if pax else (),
        link=clean(target, "hard link") if kind == _LINK else None,
    )


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    # Only POSIX's ustar has a prefix; GNU's own format keeps times there.
    if header[257:263] == b"ustar\0" and header[345]:
        return header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _numeric(pax: dict[bytes, bytes], key: bytes, field: bytes, limit: int) -> int:
    what = key.decode()
    record = pax.get(key)
    value = number(field, what) if record is None else decimal(record, what)
    return within(value, limit, what)


def _time(pax: dict[bytes, bytes], field: bytes) -> int:
    record = pax.get(b"mtime")
    if record is not None:
        return mtime(nanoseconds(record))
    return mtime(number(field, "mtime") * 1_000_000_000)


def _device(header: bytes) -> tuple[int, int]:
    return (
        within(number(header[329:337], "device"), 0xFFF, "device"),
        within(number(header[337:345], "device"), 0xFFFFF, "device"),
    )


def _xattrs(pax: dict[bytes, bytes]) -> Xattrs:
    found = []
    for key, value in pax.items():
        if key.startswith(_XATTR):
            name = key[len(_XATTR) :].decode("utf-8", "surrogateescape")
            if is_content(name):
                found.append((name, value))
    return tuple(sorted(found))


def _records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header: `LENGTH KEY=VALUE` and a newline, one after the other."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + 9)
        if blank < 0:
            raise ImageError("a pax record has no length")
        end = at + decimal(data[at:blank], "length of a pax record")
        key, equals, value = data[blank + 1 : end - 1].partition(b"=")
        if end <= blank + 1 or end > len(data) or data[end - 1 : end] != b"\n" or not equals:
            raise ImageError("a pax record is garbled")
        found[key] = value
        at = end
    return found
