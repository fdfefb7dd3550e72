"""What lies where in a tar file, found by its headers alone.

In: a seekable file. Out: name to place, for regular members and links between members. Nothing is
extracted and no link is ever followed on disk (docs/security.md, S19, S20).
Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header"; GNU tar's L, K and base-256.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from buildkit.errors import ImageError
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, TypeAlias


BLOCK = 512
MAX_MEMBERS = 200_000
MAX_NAME = 4096
MAX_EXTENSION = 1 << 20
"""Bytes of a pax header or a long name; real ones have a few hundred."""

_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_RECORD = re.compile(rb"([1-9][0-9]{0,7}) ([^=]+)=")


class Part(NamedTuple):
    """A regular member: `size` bytes from `offset` of the tar file."""

    offset: int
    size: int


class LinkTo(NamedTuple):
    """A link to the member called `target`."""

    target: str


Place: TypeAlias = Part | LinkTo


class _Extension(NamedTuple):
    """What extended headers say of the next member."""

    name: str | None = None
    target: str | None = None
    size: int | None = None


def read_index(file: BinaryIO, name: str) -> dict[str, Place]:
    """Return the members of the tar `file`, the later of two with one name.

    `name` is what errors call the file. Raises ImageError when it is cut, garbled or too big.
    """
    total = file.seek(0, os.SEEK_END)
    found: dict[str, Place] = {}
    pending = _Extension()
    offset = members = 0
    while True:
        header = _header(file, offset, name)
        if header is None:
            return found
        members += 1
        size = _number(header[124:136], name) if pending.size is None else pending.size
        kind = header[156:157]
        data = offset + BLOCK
        if data + size > total:
            raise ImageError(f"{name} is cut short: {total} bytes, {data + size} announced")
        if members > MAX_MEMBERS:
            raise ImageError(f"{name} has more than {MAX_MEMBERS} members")
        if kind in (b"L", b"K", b"x", b"g"):
            pending = _extended(pending, kind, _extension(file, data, size, name), name)
        else:
            _note(found, header, kind, pending, Part(data, size), name)
            if kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
                size = 0  # whatever the header says: these have no data
            pending = _Extension()
        offset = data + (size + BLOCK - 1) // BLOCK * BLOCK


def resolved(places: Mapping[str, Place], name: str) -> Part | None:
    """Return the part that `name` is, through links between members; None when there is none."""
    for _ in range(8):
        place = places.get(name)
        if not isinstance(place, LinkTo):
            return place
        name = place.target
    return None


def _header(file: BinaryIO, offset: int, name: str) -> bytes | None:
    """Return the header at `offset`, None at the end mark."""
    file.seek(offset)
    header = file.read(BLOCK)
    if len(header) < BLOCK:
        what = "is empty" if offset == 0 and not header else "is cut short"
        raise ImageError(f"{name} {what}")
    if header == bytes(BLOCK):
        return None
    stated = _number(header[148:156], name)
    # Spaces stand for the sum itself; old tars summed signed bytes.
    summed = header[:148] + b" " * 8 + header[156:]
    if stated not in (sum(summed), sum(b - 256 if b > 127 else b for b in summed)):
        what = "is not a tar archive" if offset == 0 else "is damaged: a header's sum is wrong"
        raise ImageError(f"{name} {what}")
    return header


def _note(
    found: dict[str, Place],
    header: bytes,
    kind: bytes,
    pending: _Extension,
    part: Part,
    archive: str,
) -> None:
    """Put the member into `found` if it is of a kind that counts."""
    own = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345]:
        own = f"{_text(header[345:500])}/{own}"
    name = _clean(own if pending.name is None else pending.name, archive)
    target = _text(header[157:257]) if pending.target is None else pending.target
    if not name or kind == b"5":
        return
    if kind in (b"0", b"\0", b"7"):
        found[name] = part
    elif kind == b"1":
        found[name] = LinkTo(_clean(target, archive))
    elif kind == b"2" and not target.startswith("/"):
        found[name] = LinkTo(os.path.normpath(os.path.join(os.path.dirname(name), target)))
    else:  # devices, sparse files, links to the outside: no part of an image archive
        found.pop(name, None)


def _clean(name: str, archive: str) -> str:
    """Return a member's name without `./` and doubled slashes; refuse names that climb."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or len(name) > MAX_NAME:
        raise ImageError(f"{archive} has a member with an impossible name: {name[:80]!r}")
    return "/".join(parts)


def _extension(file: BinaryIO, offset: int, size: int, name: str) -> bytes:
    if size > MAX_EXTENSION:
        raise ImageError(f"{name} has an extended header of {size} bytes")
    file.seek(offset)
    return file.read(size)


def _extended(pending: _Extension, kind: bytes, data: bytes, name: str) -> _Extension:
    if kind == b"L":
        return pending._replace(name=_text(data))
    if kind == b"K":
        return pending._replace(target=_text(data))
    if kind == b"g":  # for all members; nothing that matters here is ever global
        return pending
    for key, value in _records(data, name):
        if key == b"path":
            pending = pending._replace(name=_text(value))
        elif key == b"linkpath":
            pending = pending._replace(target=_text(value))
        elif key == b"size":
            if not value.isdigit() or len(value) > 19:
                raise ImageError(f"{name} has a member of an impossible size")
            pending = pending._replace(size=int(value))
    return pending


def _records(data: bytes, name: str) -> list[tuple[bytes, bytes]]:
    """Return the `LENGTH KEY=VALUE` lines of a pax header."""
    records = []
    offset = 0
    while offset < len(data):
        match = _RECORD.match(data, offset)
        end = offset + int(match.group(1)) if match else -1
        if match is None or end <= match.end() or data[end - 1 : end] != b"\n":
            raise ImageError(f"{name} has a garbled extended header")
        records.append((match.group(2), data[match.end() : end - 1]))
        offset = end
    return records


def _number(field: bytes, name: str) -> int:
    """Return an octal or base-256 number; negative and unreadable ones are errors."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ImageError(f"{name} is not a tar archive, or damaged: {field!r} is not a number")
    return int(match.group(1) or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
