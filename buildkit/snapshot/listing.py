"""What a layer changes, as lines to show: from the changes as they are found, or from its tree."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from buildkit.snapshot.diff import Deleted, Found, Present
from buildkit.snapshot.marks import is_opaque, seen_in
from buildkit.snapshot.snapshot import Change
from buildkit.tree.entry import text
from buildkit.tree.walk import Gone, outline


def change_of(found: Found) -> Change:
    """Return the line of one change."""
    if isinstance(found, Present):
        entry = found.entry
        return Change(text(entry.path), "added" if found.is_new else "changed", entry.size)
    return Change(text(found.path), "deleted" if isinstance(found, Deleted) else "opaque", 0)


def listing(root_fd: int, *, with_root: bool, gone: Gone = ()) -> Iterator[Change]:
    """Yield the lines of the layer in `root_fd`; all that is there counts as added."""
    for entry, fd in outline(root_fd, seen_in(root_fd), gone):
        if stat.S_ISCHR(entry.mode) and entry.rdev == 0:
            yield Change(text(entry.path), "deleted", 0)
            continue
        if entry.path or with_root:
            yield Change(text(entry.path), "added", entry.size)
        if fd >= 0 and is_opaque(fd):
            yield Change(text(entry.path), "opaque", 0)
