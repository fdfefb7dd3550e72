import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.content.local import LocalBlobStore
from buildkit.errors import StoreError
from buildkit.gc import Policy, prune
from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.disk import tree_size
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Committed
from buildkit.state.root import StateRoot
from tests.contract.conftest import Steps
from tests.kernel import needs_overlay, needs_root

pytestmark = [needs_root, needs_overlay]


class Store(Steps):
    """A store with what a build leaves in it."""

    def image(self, layer: Committed, *names: str) -> Digest:
        config = ImageConfig(Platform("linux", "amd64"), diff_ids=(layer.diff_id,))
        return ImageStore(self.root).add(config.encode(), map(Reference.parse, names))

    def step(self, layer: Committed, used: float = 0.0) -> str:
        key = Digest.of(layer.diff_id.encode()).hex
        self.root.database().execute(
            "INSERT INTO step VALUES(?, '{}', '', ?, '', '', '{}', ?)",
            (key, layer.diff_id, used or time.time()),
        )
        return key

    def layers(self) -> set[str]:
        return {f"sha256:{name}" for name in os.listdir(self.root.path("layers"))}

    def blobs(self) -> set[str]:
        return set(LocalBlobStore(self.root))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    # What the filling command used is in use no more: it has ended.
    with StateRoot.open(str(tmp_path)) as root:
        overlay = OverlayStore(root)
        yield Store(root, overlay)
        overlay.close()


def ended(store: Store) -> StateRoot:
    """Return the root as the next command opens it."""
    store.root.close()
    return store.root


def test_what_an_image_with_a_name_needs_stays_and_the_rest_goes(store: Store) -> None:
    kept, untagged, step, orphan = (store.base(f"file {name}") for name in "abcd")
    image = store.image(kept, "app")
    store.image(untagged)
    store.step(step)
    store.step(kept)
    blob = LocalBlobStore(store.root).put_bytes(b"nobody's").digest
    root = ended(store)
    pruned = prune(root)
    assert store.layers() == {kept.diff_id}
    assert store.blobs() == {image}
    assert set(pruned.layers) == {untagged.diff_id, step.diff_id, orphan.diff_id}
    assert blob in pruned.blobs
    assert (len(pruned.images), pruned.steps, pruned.leftovers) == (1, 1, 0)
    assert pruned.size > 0
    assert ImageStore(root).find("app").config_digest == image
    assert root.database().execute("SELECT count(*) FROM step").fetchone() == (1,)
    assert prune(ended(store)) == pruned._replace(
        images=(), layers=(), blobs=(), steps=0, caches=0, size=0
    )


def test_what_is_said_to_be_given_back_is_what_the_disk_gets(store: Store) -> None:
    """Files that a layer shares with one that stays, as pieces of a large COPY, give nothing."""
    named, step = (store.base(f"file {name}") for name in "ab")
    store.image(named, "app")
    store.step(step)
    shared = Path(store.root.path("layers", named.diff_id.hex), "piece")
    shared.write_bytes(b"x" * 100_000)
    going = store.root.path("layers", step.diff_id.hex)
    Path(going, "piece").hardlink_to(shared)
    Path(going, "own").write_bytes(b"x" * 50_000)
    expected = tree_size(going) - os.stat(shared).st_blocks * 512
    assert prune(ended(store)).size == expected > 50_000


def test_an_image_stays_where_nothing_can_be_marked_as_in_use(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = store.image(store.base("file a"), "app")
    root = ended(store)

    def full(*_: str) -> None:
        raise StoreError("leases: no space left on device")

    monkeypatch.setattr(root, "use", full)
    assert prune(root).layers == ()
    assert image in store.blobs()


def test_prune_works_without_the_reserve(store: Store) -> None:
    os.unlink(store.root.path("reserve"))
    prune(ended(store))
    assert os.path.exists(store.root.path("reserve"))


def test_steps_can_stay_or_go_by_policy(store: Store) -> None:
    old, new = store.base("file old"), store.base("file new")
    store.step(old, used=1000.0)
    store.step(new)
    assert prune(ended(store), Policy(steps="none")).layers == ()
    assert prune(ended(store), Policy(older_than=3600)).layers == (old.diff_id,)
    assert store.layers() == {new.diff_id}


def test_the_longest_unused_go_first_when_space_is_wanted(store: Store) -> None:
    layers = [store.base(f"file {name} text={name * 3000}") for name in "abc"]
    for number, layer in enumerate(layers):
        store.step(layer, used=1000.0 + number)
    prune(ended(store), Policy(steps="all", max_bytes=2 * layers[0].size))
    assert store.layers() == {layer.diff_id for layer in layers[1:]}


def test_some_stay_whatever_is_said(store: Store) -> None:
    layers = [store.base(f"file {name} text={name * 3000}") for name in "abc"]
    for number, layer in enumerate(layers):
        store.step(layer, used=1000.0 + number)
    size = layers[0].size
    prune(ended(store), Policy(steps="all", max_bytes=0, reserved=2 * size))
    assert store.layers() == {layer.diff_id for layer in layers[1:]}
    prune(ended(store), Policy(steps="all", min_free=0))
    assert len(store.layers()) == 2
    prune(ended(store), Policy(steps="all", min_free=1 << 60, reserved=size))
    assert store.layers() == {layers[2].diff_id}


def test_only_the_kinds_that_are_asked_for_go(store: Store) -> None:
    store.image(store.base("file a"))
    step = store.base("file b")
    store.step(step)
    root = ended(store)
    os.makedirs(root.path("caches", "ab", "fs"))
    Path(root.path("contexts", "cd")).touch()
    pruned = prune(root, Policy(steps="all", kinds=frozenset({"cache"})))
    assert (len(pruned.images), pruned.steps, pruned.caches) == (0, 0, 1)
    assert os.listdir(root.path("contexts")) == ["cd"]
    pruned = prune(root, Policy(steps="all", kinds=frozenset({"step", "context"})))
    assert (len(pruned.images), pruned.steps) == (0, 1)
    assert os.listdir(root.path("contexts")) == []


def test_what_a_running_command_uses_stays(store: Store) -> None:
    used, unused = store.base("file a"), store.base("file b")
    image = store.image(store.base("file c"))
    blob = LocalBlobStore(store.root).put_bytes(b"blob").digest
    root = ended(store)
    with StateRoot.open(root.top) as other:
        assert OverlayStore(other).has((used.diff_id,))
        assert LocalBlobStore(other).has(blob)
        ImageStore(other).find(image)
        prune(root)
        assert store.layers() >= {used.diff_id}
        assert unused.diff_id not in store.layers()
        assert store.blobs() == {blob, image}
        assert OverlayStore(other).has(ImageStore(other).config(image).diff_ids)


def test_half_a_commit_goes(store: Store) -> None:
    layer = store.base("file a")
    store.root.database().execute("DELETE FROM layer")
    root = ended(store)
    assert prune(root).leftovers == 1
    assert not os.path.exists(root.path("layers", layer.diff_id.hex))


def test_what_a_power_cut_tore_goes(store: Store) -> None:
    layer = store.base("file a")
    store.step(layer)
    root = ended(store)
    root.database().execute("UPDATE layer SET boot_id='before', synced=0")
    assert prune(root, Policy(steps="none")).layers == (layer.diff_id,)


def test_cache_directories_go_only_with_all(store: Store) -> None:
    for name in ("1" * 64, "2" * 64 + "-1"):
        os.makedirs(store.root.path("caches", name, "fs"))
    root = ended(store)
    with StateRoot.open(root.top) as other:
        other.use("cache", "1" * 64)
        assert prune(root).caches == 0
        assert prune(root, Policy(steps="all")).caches == 1
        assert os.listdir(root.path("caches")) == ["1" * 64]


def test_selections_of_gone_snapshots_are_forgotten(store: Store) -> None:
    kept = store.base("file a")
    store.image(kept, "app")
    store.root.database().executemany(
        "INSERT INTO snapshot_selection VALUES(?, '', '')",
        [(kept.snapshot.chain,), (Digest.of(b"gone"),)],
    )
    root = ended(store)
    prune(root)
    assert root.database().execute("SELECT chain FROM snapshot_selection").fetchall() == [
        (kept.snapshot.chain,)
    ]
