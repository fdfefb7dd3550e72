"""Layers stacked: what overlayfs is given, what a merged tree looks like, whose root it has.

A layer's directory depends on its tar alone and says everything overlayfs needs, but for two
things that a tar from elsewhere may have: directories without an entry, and deletions of what
is not there. For these the stack holds a tree made for this very parent (`adapted.py`).
"""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager

from buildkit.errors import StoreError
from buildkit.snapshot import rootdir
from buildkit.snapshot.adapted import adapt, differing, pointless
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.views import Views
from buildkit.tree.descent import opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from buildkit.oci.digest import Digest
    from buildkit.snapshot.layers import Layers
    from buildkit.snapshot.partial_views import PartialViews
    from buildkit.snapshot.source import LayerSource
    from buildkit.state.root import StateRoot


class Stacks:
    """Snapshots as stacks of the layers in one state root. Any thread may use it.

    What is not here `source` may have.
    """

    def __init__(self, root: StateRoot, layers: Layers, source: LayerSource | None = None) -> None:
        self._root = root
        self._layers = layers
        self._source = source
        self._views = Views(self.lowers)
        self._partial: PartialViews | None = None
        self._roots: dict[Digest, rootdir.RootAttributes] = {}

    def close(self) -> None:
        """Close the views that were kept."""
        self._views.close()

    def need(self, diff_ids: Iterable[Digest]) -> None:
        """Mark layers as in use, fetch those that are not here. Raises StoreError."""
        wanted = tuple(diff_ids)
        if self._layers.has(wanted):
            return
        if self._source is not None:
            self._source.fetch(
                [one for one in dict.fromkeys(wanted) if self._only_offered(one, self._source)]
            )
        for diff_id in wanted:
            if not self._layers.has((diff_id,)):
                raise StoreError(
                    f"layer {diff_id} is not in the store",
                    hint="pybuild fsck tells what is damaged",
                )

    def can_be_had(self, diff_ids: Iterable[Digest]) -> bool:
        """Say whether all the layers are here or offered; see `SnapshotStore.has`."""
        wanted = tuple(diff_ids)
        source = self._source
        return self._layers.has(wanted) or (
            source is not None
            and all(self._layers.has((one,)) or source.offers(one) for one in wanted)
        )

    def _only_offered(self, diff_id: Digest, source: LayerSource) -> bool:
        return not self._layers.has((diff_id,)) and source.offers(diff_id)

    def opened(self, diff_id: Digest) -> AbstractContextManager[int]:
        """Give a descriptor of a layer's own tree."""
        self.need((diff_id,))
        return opened(self._layers.fs(diff_id))

    def lowers(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the directories to stack, top-most first."""
        return self._stacked(snapshot, self._layers.fs)

    def _stacked(self, snapshot: Snapshot, tree: Callable[[Digest], str]) -> tuple[str, ...]:
        """Return the same, with `tree` in place of a layer's own."""
        self.need(snapshot.diff_ids)
        lowers = []
        for depth in range(len(snapshot.diff_ids), 0, -1):
            diff_id = snapshot.diff_ids[depth - 1]
            lowers.append(self._tree_on(diff_id, snapshot.diff_ids[: depth - 1], tree))
            if self._layers.has_sign(diff_id, "hides"):
                # overlayfs takes no opaque mark on the root of a layer.
                break
        # overlayfs takes no directory twice; of equal layers only the upper-most shows anything.
        return tuple(dict.fromkeys(lowers))

    def view(self, snapshot: Snapshot) -> AbstractContextManager[int]:
        """Give a descriptor of the merged tree (O_PATH, read-only)."""
        return self._views.view(snapshot)

    def is_whole(self, snapshot: Snapshot) -> bool:
        """Say whether all the layers have their trees."""
        self.need(snapshot.diff_ids)
        return not any(map(self._layers.lacks_tree, snapshot.diff_ids))

    def partial_view(
        self, snapshot: Snapshot, paths: Collection[bytes]
    ) -> AbstractContextManager[int]:
        """Give a descriptor of a part of the merged tree; see `SnapshotStore`."""
        if self.is_whole(snapshot):
            return self.view(snapshot)
        if self._partial is None:
            # For what stands on a large COPY only.
            from buildkit.snapshot.partial_views import PartialViews

            self._partial = PartialViews(self._root, self._layers, self._stacked)
        return self._partial.view(snapshot, paths)

    def root_of(self, snapshot: Snapshot | None) -> rootdir.RootAttributes:
        """Return the attributes of a snapshot's root: of the top-most layer that has them."""
        if snapshot is None:
            return rootdir.PLAIN
        known = self._roots.get(snapshot.chain)
        if known is not None:
            return known
        self.need(snapshot.diff_ids)
        attributes = rootdir.PLAIN
        for diff_id in reversed(snapshot.diff_ids):
            if self._layers.has_sign(diff_id, "root"):
                with self.opened(diff_id) as fd:
                    attributes = rootdir.read(fd)
                break
        self._roots[snapshot.chain] = attributes
        return attributes

    def _tree_on(
        self, diff_id: Digest, below: Sequence[Digest], tree: Callable[[Digest], str]
    ) -> str:
        """Return the tree of a layer as it is on the layers `below`."""
        deletes = self._layers.paths(diff_id, "deletes")
        implied = self._layers.paths(diff_id, "implied") if below else ()
        if not deletes and not implied:
            return tree(diff_id)
        parent = Snapshot.of(below)
        own = self._layers.directory(diff_id)
        target = f"{own}/on/{parent.chain.hex if parent else 'nothing'}"
        if os.path.isdir(target):
            return f"{target}/fs"
        with self._root.writing("layers"), self._view_or_none(parent) as parent_fd:
            plain = () if parent_fd is None else differing(implied, parent_fd)
            void = pointless(deletes, parent_fd)
            if not plain and not void:
                return f"{own}/fs"
            made = self._layers.room(diff_id)
            with opened(f"{own}/fs") as fd:
                adapt(fd, f"{made}/fs", parent_fd=parent_fd, directories=plain, void=void)
            os.makedirs(f"{own}/on", 0o700, exist_ok=True)
            self._layers.place(diff_id, made, target)
        return f"{target}/fs"

    @contextlib.contextmanager
    def _view_or_none(self, snapshot: Snapshot | None) -> Iterator[int | None]:
        if snapshot is None:
            yield None
        else:
            with self._views.view(snapshot) as fd:
                yield fd
