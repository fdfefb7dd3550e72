"""Modules of Go programs, which every program made by Go 1.18 or later has a list of.

In: files of an image. Out: packages. Searched are executables for the mark of the list; damaged
lists are passed over. Source: Go's debug/buildinfo, buildinfo.go, format with inline strings.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator

from buildkit.attestation.files import ImageFiles
from buildkit.attestation.package import Package
from buildkit.tree.entry import Entry

_ELF = b"\x7fELF"
_MARK = b"\xff Go buildinf:"
_HEADER = 32
_INLINE = 2
_LONGEST = 4 << 20
_SMALLEST, _LARGEST = 4096, 1 << 30
"""Bytes of a program."""

_SENTINEL = 16
"""Bytes before and after the list of modules, by which other tools find it."""


def may_hold(entry: Entry) -> bool:
    """Say whether a file can be a program of Go."""
    executable = stat.S_ISREG(entry.mode) and entry.mode & 0o111
    return bool(executable) and _SMALLEST < entry.size < _LARGEST


def modules(files: ImageFiles, path: bytes) -> Iterator[Package]:
    """Yield the modules of the program at `path`, none where it is not one of Go."""
    with files.opened(path) as fd:
        if fd is None or os.pread(fd, 4, 0) != _ELF:
            return
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as data:
            text = _listed(data)
    yield from _parsed(text, path.decode("utf-8", "replace"))


def _listed(data: mmap.mmap) -> str:
    """Return the list of modules, empty where there is none."""
    at = data.find(_MARK)
    if at < 0 or at + _HEADER > len(data) or not data[at + len(_MARK) + 1] & _INLINE:
        return ""
    _version, at = _string(data, at + _HEADER)
    text, _ = _string(data, at)
    return text[_SENTINEL:-_SENTINEL].decode("utf-8", "replace")


def _string(data: mmap.mmap, at: int) -> tuple[bytes, int]:
    """Return a string that has its length before it as an unsigned varint, and what is behind."""
    size = shift = 0
    while at < len(data) and shift < 35:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > _LONGEST or at + size > len(data):
        return b"", len(data)
    return data[at : at + size], at + size


def _parsed(text: str, place: str) -> Iterator[Package]:
    found: list[list[str]] = []
    for line in text.split("\n"):
        words = line.split("\t")
        if words[0] in ("mod", "dep") and len(words) > 2:
            found.append(words[1:3])
        elif words[0] == "=>" and len(words) > 2 and found:
            found[-1] = words[1:3]  # what was taken in its place
    for name, version in found:
        # A program that was built out of its own tree has no version.
        yield Package("golang", name, "" if version == "(devel)" else version, place=place)
