"""Snapshots on overlayfs: the store of layers that everything else uses.

In: uppers of finished steps, and layer tars from elsewhere. Out: layers by diff ID, stacks of
them as overlayfs lowers or as a merged tree. A layer depends on nothing but its own tar, so any
number of stacks share it. Contract: `store.py`; layout and durability: `layers.py`; what is a
change: `diff.py`.
"""

from __future__ import annotations

import os

from buildkit.snapshot import rootdir
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.snapshot import Active, Change, Committed, Snapshot
from buildkit.snapshot.stacks import Stacks
from buildkit.state.removal import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from contextlib import AbstractContextManager

    from buildkit.content.streams import Reader, Sink
    from buildkit.oci.digest import Digest
    from buildkit.snapshot.making import Maker
    from buildkit.snapshot.piece_writer import NewItems
    from buildkit.snapshot.source import LayerSource
    from buildkit.snapshot.store import Candidates
    from buildkit.snapshot.watch import Watch
    from buildkit.state.root import StateRoot


class OverlayStore:
    """A `SnapshotStore` below one state root, and what `source` offers. `close` it first."""

    def __init__(self, root: StateRoot, source: LayerSource | None = None) -> None:
        self._root = root
        self._layers = Layers(root)
        self._stacks = Stacks(root, self._layers, source)
        self._made: Maker | None = None

    def close(self) -> None:
        """Close the views that were kept."""
        self._stacks.close()

    def has(self, diff_ids: Iterable[Digest]) -> bool:
        """See `SnapshotStore`."""
        return self._stacks.can_be_had(diff_ids)

    def bring(self, diff_ids: Iterable[Digest]) -> None:
        """See `SnapshotStore`."""
        self._stacks.need(diff_ids)

    def is_packed(self, diff_id: Digest) -> bool:
        """See `SnapshotStore`."""
        return self._layers.origin(diff_id) == "packed"

    def lowers(self, snapshot: Snapshot) -> tuple[str, ...]:
        """See `SnapshotStore`."""
        return self._stacks.lowers(snapshot)

    def view(self, snapshot: Snapshot) -> AbstractContextManager[int]:
        """See `SnapshotStore`."""
        return self._stacks.view(snapshot)

    def is_whole(self, snapshot: Snapshot) -> bool:
        """See `SnapshotStore`."""
        return self._stacks.is_whole(snapshot)

    def partial_view(
        self, snapshot: Snapshot, paths: Collection[bytes]
    ) -> AbstractContextManager[int]:
        """See `SnapshotStore`."""
        return self._stacks.partial_view(snapshot, paths)

    @property
    def copies(self) -> bool:
        """See `SnapshotStore`."""
        asked = "PYBUILD_SNAPSHOTTER" in os.environ
        if not asked and self._root.note("state.snapshotter") == "overlay\n":
            return False
        from buildkit.snapshot import kind  # to find out

        return kind.kind_of(self._root) == "copy"

    def prepare(self, parent: Snapshot | None) -> Active:
        """See `SnapshotStore`."""
        attributes = self._stacks.root_of(parent)
        directory = self._root.tmp()
        active = Active(parent, directory, f"{directory}/layer/fs", f"{directory}/work")
        with self._root.writing("tmp"):
            for path in (f"{directory}/layer", active.upper, active.work):
                os.mkdir(path, 0o700)
            rootdir.write(active.upper, attributes)
        return active

    def discard(self, active: Active) -> None:
        """See `SnapshotStore`."""
        with self._root.writing("tmp"):
            remove_tree(active.directory)

    def commit(
        self,
        active: Active,
        *,
        candidates: Candidates | None = None,
        clamp: int | None = None,
        watch: Watch | None = None,
        since: int | None = None,
    ) -> Committed:
        """See `SnapshotStore`."""
        try:
            with self._root.writing("tmp"):
                return self._maker().commit(active, candidates, clamp, watch, since)
        finally:
            self.discard(active)

    def commit_items(
        self,
        active: Active,
        new: NewItems,
        *,
        candidates: Candidates | None = None,
        clamp: int | None = None,
        watch: Watch | None = None,
    ) -> Committed:
        """See `SnapshotStore`."""
        try:
            with self._root.writing("tmp"):
                return self._maker().commit_items(active, new, candidates, clamp, watch)
        finally:
            self.discard(active)

    def unpack(self, layer: Reader, expected: Digest | None = None) -> Digest:
        """See `SnapshotStore`."""
        directory = self._root.tmp()
        try:
            return self._maker().unpack(layer, directory, expected)
        finally:
            with self._root.writing("tmp"):
                remove_tree(directory)

    def pack(self, diff_id: Digest, sink: Sink) -> int:
        """See `SnapshotStore`."""
        return self._maker().pack(diff_id, sink)

    def timeless(self, diff_id: Digest) -> Digest | None:
        """See `SnapshotStore`."""
        return self._maker().timeless(diff_id)

    def times(self, diff_id: Digest) -> Iterator[tuple[str, int]]:
        """See `SnapshotStore`."""
        return self._maker().times(diff_id)

    def changes(self, diff_id: Digest) -> tuple[Change, ...]:
        """See `SnapshotStore`."""
        return self._maker().changes(diff_id)

    def sync(self) -> None:
        """See `SnapshotStore`."""
        self._layers.sync()

    def _maker(self) -> Maker:
        """Return what makes layers, whose modules a cached build does not load."""
        if self._made is None:
            from buildkit.snapshot.making import Maker

            self._made = Maker(self._root, self._layers, self._stacks)
        return self._made
