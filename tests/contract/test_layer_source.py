"""What a snapshot store makes of layers that somebody offers to fetch."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from buildkit.errors import StoreError
from buildkit.oci.digest import Digest
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.snapshot.source import LayerLostError
from buildkit.state.root import StateRoot
from tests.contract.conftest import Steps
from tests.kernel import require


class Shelf:
    """Offers the layers of another store, and notes what is taken."""

    def __init__(self, target: OverlayStore) -> None:
        self.tars: dict[Digest, bytes] = {}
        self.taken: list[Digest] = []
        self._target = target

    def offers(self, diff_id: Digest) -> bool:
        return diff_id in self.tars

    def fetch(self, diff_ids: Sequence[Digest]) -> None:
        for diff_id in diff_ids:
            tar = self.tars.pop(diff_id)
            if not tar:
                raise LayerLostError("gone")
            self._target.unpack(io.BytesIO(tar), diff_id)
            self.taken.append(diff_id)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[OverlayStore, Shelf]]:
    """A second store, and the shelf that it may take from."""
    with StateRoot.open(str(tmp_path / "second")) as root:
        shelf = Shelf(OverlayStore(root))
        store = OverlayStore(root, shelf)
        yield store, shelf
        store.close()


def filled(steps: Steps, shelf: Shelf) -> Snapshot:
    """Return a stack of two layers, which lie on the shelf."""
    require("root")
    base = steps.base("file a 0644 text=a")
    top = steps.run(base.snapshot, lambda view: (view / "b").write_text("b"))
    shelf.tars = {one.diff_id: steps.tar(one) for one in (base, top)}
    return top.snapshot


def test_what_is_offered_counts_as_there_and_is_not_fetched(
    steps: Steps, elsewhere: tuple[OverlayStore, Shelf]
) -> None:
    store, shelf = elsewhere
    snapshot = filled(steps, shelf)
    assert store.has(snapshot.diff_ids)
    assert not store.has((*snapshot.diff_ids, Digest.of(b"another")))
    assert shelf.taken == []


def test_a_view_fetches_the_layers_that_it_needs(
    steps: Steps, elsewhere: tuple[OverlayStore, Shelf]
) -> None:
    store, shelf = elsewhere
    snapshot = filled(steps, shelf)
    below = Snapshot.of(snapshot.diff_ids[:1])
    assert below is not None
    with store.view(below):
        assert shelf.taken == list(below.diff_ids)
    with store.view(snapshot):
        assert shelf.taken == list(snapshot.diff_ids)
    assert len(store.lowers(snapshot)) == 2


def test_layers_can_be_brought_before_they_are_needed(
    steps: Steps, elsewhere: tuple[OverlayStore, Shelf]
) -> None:
    store, shelf = elsewhere
    snapshot = filled(steps, shelf)
    store.bring(snapshot.diff_ids)
    store.bring(snapshot.diff_ids)
    assert shelf.taken == list(snapshot.diff_ids)


def test_a_layer_that_is_lost_is_told_as_that(
    steps: Steps, elsewhere: tuple[OverlayStore, Shelf]
) -> None:
    store, shelf = elsewhere
    snapshot = filled(steps, shelf)
    shelf.tars[snapshot.diff_ids[0]] = b""
    with pytest.raises(LayerLostError):
        store.lowers(snapshot)
    assert not store.has(snapshot.diff_ids)
    with pytest.raises(StoreError, match="is not in the store"):
        store.lowers(snapshot)


def test_layers_that_differ_in_times_alone_have_the_same_digest_without_times(
    steps: Steps,
) -> None:
    base = steps.base("file a 0644 text=a")
    lines = (("b", 1_000_000), ("b", 2_000_000), ("c", 1_000_000))
    made = [steps.run(base.snapshot, written(text, mtime)) for text, mtime in lines]
    first, second, third = (steps.store.timeless(one.diff_id) for one in made)
    assert made[0].diff_id != made[1].diff_id
    assert first == second != third


def test_a_layer_from_elsewhere_has_no_digest_without_times(
    steps: Steps, elsewhere: tuple[OverlayStore, Shelf]
) -> None:
    store, shelf = elsewhere
    snapshot = filled(steps, shelf)
    store.bring(snapshot.diff_ids)
    assert store.timeless(snapshot.diff_ids[0]) is None


def written(text: str, mtime: int) -> Callable[[Path], None]:
    """Return what writes a file of that time."""

    def act(view: Path) -> None:
        (view / "new").write_text(text)
        os.utime(view / "new", (mtime, mtime))

    return act
