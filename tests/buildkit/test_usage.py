from pathlib import Path

from buildkit.state.root import StateRoot
from buildkit.usage import Usage, tree_size, usage
from tests.buildkit.test_gc import Store, store
from tests.kernel import needs_overlay, needs_root

pytestmark = [needs_root, needs_overlay]

__all__ = ["store"]


def by_kind(root: StateRoot) -> dict[str, Usage]:
    return {one.kind: one for one in usage(root)}


def test_layers_count_where_they_are_needed_most(store: Store) -> None:
    named, untagged, step = (store.base(f"file {name} text={name}") for name in "abc")
    store.image(named, "app")
    store.image(untagged)
    store.step(step)
    store.step(named)
    store.root.close()
    found = by_kind(store.root)
    assert [len(found[kind].entries) for kind in ("image", "untagged image", "step")] == [1, 1, 1]
    assert (found["image"].size, found["image"].reclaimable) == (named.size, 0)
    assert found["untagged image"].reclaimable == untagged.size
    assert found["step"].reclaimable == step.size
    assert found["image"].entries[0].description == "docker.io/library/app:latest"
    assert [one.active for one in found.values()] == [0, 0, 0, 0, 0, 0, 0, 2]


def test_what_is_in_use_is_not_reclaimable(store: Store) -> None:
    layer = store.base("file a text=a")
    store.step(layer)
    store.root.close()
    with StateRoot.open(store.root.top) as other:
        other.use("layer", layer.diff_id)
        assert by_kind(store.root)["step"].reclaimable == 0
        assert by_kind(store.root)["step"].active == 1
    assert by_kind(store.root)["step"].reclaimable == layer.size


def test_a_tree_takes_the_blocks_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x" * 10_000)
    before = tree_size(str(tmp_path))
    assert before >= 10_000
    (tmp_path / "a/again").hardlink_to(tmp_path / "a/b/file")
    assert tree_size(str(tmp_path)) == before
