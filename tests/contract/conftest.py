"""Stores for the contract suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildkit.oci.digest import Digest, Fingerprint
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Committed, Snapshot
from buildkit.snapshot.store import Candidates, SnapshotStore
from buildkit.state.root import StateRoot
from tests.kernel import require
from tests.overlays import mounted
from tests.trees import make_tree, read_tree


class Steps:
    """Makes snapshots the way builds do: something happens in a mounted tree, then a commit."""

    def __init__(self, root: StateRoot, store: SnapshotStore) -> None:
        self.root = root
        self.store = store

    def base(self, *lines: str) -> Committed:
        """Commit a first layer from a tree's description."""
        active = self.store.prepare(None)
        make_tree(Path(active.upper), *lines)
        return self.store.commit(active)

    def run(
        self,
        parent: Snapshot,
        action: Callable[[Path], object],
        *,
        candidates: Candidates | None = None,
        clamp: int | None = None,
        since: int | None = None,
    ) -> Committed:
        """Let `action` change the merged tree, and commit."""
        active = self.store.prepare(parent)
        view = Path(active.directory, "view")
        view.mkdir()
        with mounted(str(view), self.store.lowers(parent), active.upper, active.work):
            action(view)
        return self.store.commit(active, candidates=candidates, clamp=clamp, since=since)

    def merged(self, snapshot: Snapshot, *, times: bool = False) -> list[str]:
        """Return the merged tree as text."""
        with self.store.view(snapshot) as fd:
            return read_tree(Path(f"/proc/self/fd/{fd}/."), times=times)

    def tar(self, committed: Committed) -> bytes:
        """Return the layer's tar."""
        parts: list[bytes] = []
        self.store.pack(committed.diff_id, parts.append)
        return b"".join(parts)


def remembered(committed: Committed) -> Candidates:
    """Return candidates as the cache would give them."""

    def candidates(fingerprint: Fingerprint) -> list[tuple[Digest, str]]:
        found = (committed.diff_id, committed.created)
        return [found] if fingerprint == committed.fingerprint else []

    return candidates


@pytest.fixture
def state_root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as root:
        yield root


@pytest.fixture(params=[OverlayStore])
def steps(request: pytest.FixtureRequest, state_root: StateRoot) -> Iterator[Steps]:
    require("overlay")
    require("root")
    store = request.param(state_root)
    yield Steps(state_root, store)
    store.close()
