"""What the inputs of a vertex look like as trees to copy and mount from.

In: the results of the inputs. Out: trees, each opened once, at first use, and closed together. A
context is shared by all vertices of a build, a snapshot is viewed for one vertex.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from buildkit.cache.result import ContextRef, Ref
from buildkit.context.tree import Tree
from buildkit.snapshot.snapshot import Snapshot
from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildkit.snapshot.store import SnapshotStore
    from buildkit.state.root import StateRoot


class Contexts(Protocol):
    """The build contexts by name; their trees last as long as the build."""

    def tree(self, name: str) -> Tree:
        """Return the tree of context `name`. Raises ContextError."""
        ...


class Origins:
    """The inputs of one vertex. `close` it when the vertex is done with."""

    def __init__(
        self,
        root: StateRoot,
        snapshots: SnapshotStore,
        contexts: Contexts,
        inputs: Sequence[Ref | None],
    ) -> None:
        self._root = root
        self._snapshots = snapshots
        self._contexts = contexts
        self._inputs = inputs
        self._stack = ExitStack()
        self._trees: dict[int, Tree] = {}

    def tree(self, number: int) -> Tree:
        """Return the tree of input `number`. Raises ContextError, StoreError."""
        known = self._trees.get(number)
        if known is None:
            known = self._trees[number] = self._open(self._inputs[number])
        return known

    def lowers(self, number: int) -> tuple[str, ...]:
        """Return the layers of input `number`, the top-most first, none for what has none."""
        ref = self._inputs[number]
        return self._snapshots.lowers(ref) if isinstance(ref, Snapshot) else ()

    def trees(self, numbers: Iterable[int]) -> dict[int, Tree]:
        """Return the trees of several inputs by number."""
        return {number: self.tree(number) for number in numbers}

    def close(self) -> None:
        """Close the views of snapshots. May be called twice."""
        self._trees.clear()
        self._stack.close()

    def _open(self, ref: Ref | None) -> Tree:
        match ref:
            case ContextRef(name=name):
                return self._contexts.tree(name)
            case Snapshot():
                fd = self._stack.enter_context(self._snapshots.view(ref))
            case None:
                empty = self._root.tmp()
                fd = os.open(empty, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                self._stack.callback(os.close, fd)
        # What ADD takes from a snapshot came from elsewhere, and is not unpacked unasked.
        tree = Tree(
            fd, "the file system that is copied from", place="that stage or image", download=True
        )
        self._stack.callback(tree.close)
        return tree
