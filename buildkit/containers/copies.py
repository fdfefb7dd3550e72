"""Containers on a copy of their layers, where the state root can hold no overlay's changes.

In: the tree of an image, and the directory that was filled with it. Out: what is different, and an
upper directory that says so. Imported for such containers only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from buildkit.snapshot import copied
from buildkit.tree.entry import Entry, text
from buildkit.tree.walk import GONE, walk
from runtime import owners

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def upper_of(directory: str, tree: int | None, upper: str) -> None:
    """Fill `upper` with what the container's `directory` has, and marks of what it has no more.

    `tree` is that of the image. What is as it was goes when a layer is made of it.
    """
    source = os.open(directory, _DIRECTORY)
    place = os.open(upper, _DIRECTORY)
    try:
        copied.copy_tree(source, upper)
        found = owners.stat_of(source)
        owners.give(place, found.st_uid, found.st_gid)
        os.fchmod(place, stat.S_IMODE(found.st_mode))
        if tree is not None:
            lower = os.open(".", _DIRECTORY, dir_fd=tree)
            try:
                copied.whiteout(lower, place)
            finally:
                os.close(lower)
    finally:
        os.close(place)
        os.close(source)


def letters(directory: int, tree: int | None) -> Iterator[tuple[str, str]]:
    """Yield letter and path of what is different from the image: A, C or D, in order."""
    before = {} if tree is None else {entry.path: _seen(entry) for entry, _fd in walk(tree)}
    now = {entry.path: _seen(entry) for entry, _fd in walk(directory, gone=GONE)}
    found: dict[bytes, str] = {}
    for path in sorted({*before, *now} - {b""}):
        above = path.rpartition(b"/")[0]
        if path not in now:
            if found.get(above) != "D" and above not in before.keys() - now.keys():
                found[path] = "D"
        elif path not in before:
            found[path] = "A"
        elif before[path] != now[path]:
            found[path] = "C"
    for path in list(found):
        while path := path.rpartition(b"/")[0]:
            found.setdefault(path, "C")
    for path in sorted(found):
        yield found[path], f"/{text(path)}"


def _seen(entry: Entry) -> Entry:
    """Return what of an entry tells a change: of a directory its time does not."""
    if stat.S_ISDIR(entry.mode):
        entry = entry._replace(mtime_ns=0)
    return entry._replace(inode=None)
