"""The content of the files of a plan, as they are packed.

In: a plan and the trees that its files lie in. Out: bytes, hashed on the way; they have to be what
was selected, or the copy fails and names the file (R9).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from buildkit.context.descent import Descent
from buildkit.context.rows import open_file
from buildkit.context.tree import Tree
from buildkit.ops.copy_plan import Plan
from buildkit.snapshot.pieces import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


_SMALL = 256 << 10
_CHUNK = 1 << 20


class PlanReading:
    """Gives contents by the number of an item. A context manager. `check` may raise to stop."""

    def __init__(
        self, planned: Plan, trees: Mapping[int, Tree], check: Callable[[], object]
    ) -> None:
        self._plan = planned
        self._trees = trees
        self._check = check
        self._sources = {origin: Descent(tree.root_fd) for origin, tree in trees.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descent in self._sources.values():
            descent.close()

    def contents(self, number: int) -> Iterable[bytes]:
        """Return what the regular file `number` holds. Raises ContextError when it has changed."""
        self._check()
        item = self._plan.items[number]
        place = self._plan.places[item.path]
        if isinstance(place, bytes):
            return (place,)
        origin, path = place
        tree = self._trees[origin]
        above, _, name = path.rpartition("/")
        try:
            fd = open_file(name, self._sources[origin].go(above))
        except OSError as error:
            raise tree.moved(path) from error
        if item.size >= _SMALL:
            return self._blocks(fd, item, tree, path)
        try:
            data = os.read(fd, item.size + 1)
        except OSError as error:
            raise tree.moved(path) from error
        finally:
            os.close(fd)
        if len(data) != item.size or hashlib.sha256(data).hexdigest() != item.content:
            raise tree.moved(path)
        return (data,)

    def _blocks(self, fd: int, item: Item, tree: Tree, path: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        left = item.size
        try:
            while data := os.read(fd, _CHUNK):
                self._check()
                left -= len(data)
                if left < 0:
                    break
                digest.update(data)
                yield data
        except OSError as error:
            raise tree.moved(path) from error
        finally:
            os.close(fd)
        if left or digest.hexdigest() != item.content:
            raise tree.moved(path)
