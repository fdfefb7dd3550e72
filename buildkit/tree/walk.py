"""A directory tree as entries, in the order of a layer.

In: a descriptor of the root. Out: its entries, depth first, names sorted by bytes, a directory
before what is in it, the root (empty path) first. `walk` reads attributes and opens files,
`outline` only asks the kernel for what stat tells.
"""

from __future__ import annotations

import os
import stat

from buildkit.tree.descent import Descent
from buildkit.tree.entry import Entry, entry_of, make, read_xattrs
from runtime import owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias


Gone: TypeAlias = "tuple[type[OSError], ...]"
"""Errors that mean that an entry is left out; none where nobody changes the tree meanwhile."""
Skip: TypeAlias = "Callable[[bytes], bool]"
Seen: TypeAlias = "Callable[[os.stat_result, int, bytes], os.stat_result]"
"""What a name in a directory is to be taken for, given what stat(2) says of it."""

FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
GONE = (FileNotFoundError, NotADirectoryError)
"""What becomes of a name in a tree in which others add and remove: `Gone` for `walk`."""


def walk(
    root_fd: int, skip: Skip | None = None, seen: Seen | None = None, gone: Gone = ()
) -> Iterator[tuple[Entry, int]]:
    """Yield each entry and, for regular files and directories, a descriptor to read it.

    The descriptor (-1 for other types) is good until the next entry is asked for. Of the way
    down everything is found by descriptor, so depth and length of paths do not matter. What `skip`
    says of a path is left out, with all below it, and so is what fails with an error of `gone`.
    `seen` is asked about every name.
    """
    for path, name, dir_fd, found, way in _names(root_fd, skip, seen, gone):
        mode = found.st_mode
        if stat.S_ISREG(mode):
            try:
                # Without waiting, should it be a pipe by now.
                fd = os.open(name, FILE | os.O_NONBLOCK, dir_fd=dir_fd)
            except gone:
                continue
            try:
                yield make(path, found, xattrs=read_xattrs(fd)), fd
            finally:
                os.close(fd)
        elif stat.S_ISDIR(mode):
            yield make(path, found, xattrs=read_xattrs(way.fd)), way.fd
        else:
            try:
                entry = entry_of(path, name, dir_fd, found)
            except gone:
                continue
            yield entry, -1


def outline(root_fd: int, seen: Seen | None = None, gone: Gone = ()) -> Iterator[tuple[Entry, int]]:
    """Yield each entry without attributes and targets; nothing but directories is opened.

    With it a descriptor of the directory, -1 for other types.
    """
    for path, _, _, found, way in _names(root_fd, None, seen, gone):
        yield make(path, found), way.fd if stat.S_ISDIR(found.st_mode) else -1


def sorted_names(fd: int) -> list[bytes]:
    """Return the names in the directory `fd`, sorted by bytes."""
    return sorted(map(os.fsencode, os.listdir(fd)))


def _names(
    root_fd: int, skip: Skip | None, seen: Seen | None, gone: Gone
) -> Iterator[tuple[bytes, bytes, int, os.stat_result, Descent]]:
    """Yield path, name, parent, stat, way; for a directory the way has entered it."""
    # The caller's descriptor may be one of O_PATH, which does not list.
    fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        with Descent(fd) as way:
            yield b"", b"", fd, owners.stat_of(fd), way
            yield from _names_below(way, skip, seen, gone)
    finally:
        os.close(fd)


def _names_below(
    way: Descent, skip: Skip | None, seen: Seen | None, gone: Gone
) -> Iterator[tuple[bytes, bytes, int, os.stat_result, Descent]]:
    todo = [sorted_names(way.fd)[::-1]]
    prefixes = [b""]
    while True:
        if not todo[-1]:
            todo.pop()
            prefixes.pop()
            if not todo:
                return
            way.leave()
            continue
        name = todo[-1].pop()
        dir_fd = way.fd
        path = prefixes[-1] + name
        if skip is not None and skip(path):
            continue
        try:
            found = owners.stat_at(name, dir_fd)
            if seen is not None:
                found = seen(found, dir_fd, name)
            inner = way.enter(name) if stat.S_ISDIR(found.st_mode) else -1
        except gone:
            continue
        if inner >= 0:
            yield path, name, dir_fd, found, way
            todo.append(sorted_names(inner)[::-1])
            prefixes.append(path + b"/")
        else:
            yield path, name, dir_fd, found, way
