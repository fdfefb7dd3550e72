"""Parts of merged trees, for who knows what he will look at: no tree of a large COPY is made.

In: a snapshot and paths. Out: a descriptor of an overlay of its layers, in which a layer that is
kept as its tar is represented by a small tree of those of its items that `paths` lead through.
overlayfs finds a name by looking for each of its parts in every layer, so that what is found by
these paths, or is missing, is the same as in the whole tree, whatever whiteouts, opaque or merged
directories lie on the way (kernel's filesystems/overlayfs.rst, "Merging directories").
"""

from __future__ import annotations

import contextlib
import os
from _thread import allocate_lock  # `threading` itself is 1 ms for classes
from collections.abc import Callable, Iterable, Iterator, Sequence, Set

from buildkit.oci.digest import Digest
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.pieces import Index, read_index
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.tree_of_pieces import make_part
from buildkit.state.removal import remove_tree
from buildkit.state.root import StateRoot
from runtime.mounts import mounted_overlay_fd

_KEPT = 2
"""Indexes of layers that are kept: reading one of 50,000 files takes longer than all the rest."""

Stacked = Callable[[Snapshot, Callable[[Digest], str]], Sequence[str]]
"""Tells what to stack, given what to take as the tree of a layer."""


class _Part:
    """An open view; `paths` with all directories above them."""

    __slots__ = ("directory", "fd", "paths", "users")

    def __init__(self, paths: frozenset[bytes], directory: str, fd: int) -> None:
        self.paths = paths
        self.directory = directory
        self.fd = fd
        self.users = 0


class PartialViews:
    """Partial views of the snapshots in one state root. Any thread may use it."""

    def __init__(self, root: StateRoot, layers: Layers, stacked: Stacked) -> None:
        self._root = root
        self._layers = layers
        self._stacked = stacked
        self._open: dict[Digest, list[_Part]] = {}
        self._indexes: dict[Digest, Index] = {}
        self._mutex = allocate_lock()

    @contextlib.contextmanager
    def view(self, snapshot: Snapshot, paths: Iterable[bytes]) -> Iterator[int]:
        """Give a descriptor for the time of the block; `SnapshotStore` says what it promises.

        One that is open and has all the paths serves again. Raises StoreError.
        """
        wanted = with_parents(paths)
        part = self._take(snapshot, wanted)
        if part is None:
            part = self._made(snapshot, wanted)
            with self._mutex:
                part.users += 1
                self._open.setdefault(snapshot.chain, []).append(part)
        try:
            yield part.fd
        finally:
            self._give_back(snapshot, part)

    def _take(self, snapshot: Snapshot, wanted: frozenset[bytes]) -> _Part | None:
        with self._mutex:
            for part in self._open.get(snapshot.chain, ()):
                if wanted <= part.paths:
                    part.users += 1
                    return part
            return None

    def _give_back(self, snapshot: Snapshot, part: _Part) -> None:
        with self._mutex:
            part.users -= 1
            if part.users:
                return
            parts = self._open[snapshot.chain]
            parts.remove(part)
            if not parts:
                del self._open[snapshot.chain]
        os.close(part.fd)
        with self._root.writing("tmp"):
            remove_tree(part.directory)

    def _made(self, snapshot: Snapshot, wanted: frozenset[bytes]) -> _Part:
        directory = self._root.tmp()

        def tree(diff_id: Digest) -> str:
            target = f"{directory}/{diff_id.hex}"
            if os.path.isdir(target) or self._make_part(diff_id, wanted, target):
                return target
            return self._layers.fs(diff_id)

        try:
            return _Part(wanted, directory, mounted_overlay_fd(self._stacked(snapshot, tree)))
        except BaseException:
            with self._root.writing("tmp"):
                remove_tree(directory)
            raise

    def _make_part(self, diff_id: Digest, wanted: frozenset[bytes], target: str) -> bool:
        """Make what is `wanted` of a layer; say whether it was: it has a tree, or needs one."""
        if not self._layers.lacks_tree(diff_id):
            return False
        index = self._index(diff_id)
        numbers = chosen(index, wanted)
        if numbers is None:
            return False
        with self._root.writing("tmp"):
            make_part(self._layers.directory(diff_id), diff_id, index, numbers, target)
        return True

    def _index(self, diff_id: Digest) -> Index:
        with self._mutex:
            known = self._indexes.pop(diff_id, None)
        if known is None:
            with self._root.writing("layers"):
                known = read_index(f"{self._layers.directory(diff_id)}/{PIECES}")
        with self._mutex:
            # The dictionary is in order of use.
            self._indexes[diff_id] = known
            while len(self._indexes) > _KEPT:
                del self._indexes[next(iter(self._indexes))]
        return known


def with_parents(paths: Iterable[bytes]) -> frozenset[bytes]:
    """Return `paths` and all directories above them but for the root."""
    found: set[bytes] = set()
    for path in paths:
        here = path
        while here and here not in found:
            found.add(here)
            here = here.rpartition(b"/")[0]
    return frozenset(found)


def chosen(index: Index, wanted: Set[bytes]) -> list[int] | None:
    """Return the numbers of the items that a tree needs which is right about `wanted`.

    `wanted` has the directories above all its paths. None where it would be as large as the whole
    tree, more or less: that one lasts.
    """
    numbers = _numbers(index, wanted)
    links = {link for number in numbers if (link := index.item(number).link)}
    if links:
        numbers = _numbers(index, wanted | with_parents(links))
    size = sum(index.item(number).size for number in numbers)
    if len(numbers) * 2 > len(index.items) or size * 2 > index.starts[-1]:
        return None
    return numbers


def _numbers(index: Index, paths: Set[bytes]) -> list[int]:
    return [number for number, fields in enumerate(index.items) if fields[0] in paths]
