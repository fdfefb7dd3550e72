"""Which paths two stacks of layers have in common without looking at them.

In: the layers that two stacks do not share. Out: `Shared`, which says of a path that nothing in
those layers touches it, so that all below it is the same on both sides. Comparing two images of one
base then costs what lies above the base.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from buildkit.snapshot.marks import is_opaque

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Shared:
    """Looks into the trees (directories `fs`) of the layers that are not shared."""

    def __init__(self, trees: Sequence[str]) -> None:
        self._trees = trees
        self._hidden: dict[bytes, bool] = {}

    def __call__(self, path: bytes) -> bool:
        """Say whether `path`, whose parents were asked about before, is touched by no layer."""
        parent = path.rpartition(b"/")[0]
        if self._hides(parent):
            return False
        return not any(_exists(tree, path) for tree in self._trees)

    def _hides(self, directory: bytes) -> bool:
        """Say whether a layer replaces or empties `directory` or one that leads to it."""
        known = self._hidden.get(directory)
        if known is None:
            above = bool(directory) and self._hides(directory.rpartition(b"/")[0])
            known = above or any(_replaces(tree, directory) for tree in self._trees)
            self._hidden[directory] = known
        return known


def _exists(tree: str, path: bytes) -> bool:
    try:
        os.stat(os.fsencode(tree) + b"/" + path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:  # a path that is too long, say: then it is looked at
        return True
    return True


def _replaces(tree: str, directory: bytes) -> bool:
    path = os.fsencode(tree) + b"/" + directory
    try:
        found = os.stat(path, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            return True
        fd = os.open(path, _FLAGS)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)
