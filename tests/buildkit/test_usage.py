import os
from pathlib import Path

from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.disk import tree_size
from buildkit.snapshot.snapshot import Committed
from buildkit.state.root import StateRoot
from buildkit.usage import KINDS, Usage, usage
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
    on_disk = {layer: tree_size(directory(store.root, layer)) for layer in (named, untagged, step)}
    assert [len(found[kind].entries) for kind in ("image", "untagged image", "step")] == [1, 1, 1]
    assert (found["image"].size, found["image"].reclaimable) == (on_disk[named], 0)
    assert found["untagged image"].reclaimable == on_disk[untagged]
    assert found["step"].reclaimable == on_disk[step]
    assert found["image"].entries[0].description == "docker.io/library/app:latest"
    assert found["image"].entries[0].size == named.size
    assert {kind for kind, one in found.items() if one.active} == {"database"}


def test_of_what_is_wanted_the_size_is_told(store: Store) -> None:
    one, other = (store.base(f"file {name} text={name * 9000}") for name in "ab")
    store.step(one)
    store.step(other)
    store.root.close()
    every = usage(store.root)
    assert tuple(found.kind for found in every) == KINDS
    key = next(found for found in every if found.kind == "step").entries[0].name
    part = {found.kind: found for found in usage(store.root, lambda _, entry: entry.name == key)}
    sizes = {tree_size(directory(store.root, layer)) for layer in (one, other)}
    assert [entry.name for entry in part["step"].entries] == [key]
    assert part["step"].size == part["step"].reclaimable
    assert part["step"].size in sizes
    # What is not wanted is not another type's for that.
    assert sum(len(found.entries) for found in part.values()) == 1
    assert sum(found.size for found in part.values()) == part["step"].size


def directory(root: StateRoot, layer: Committed) -> str:
    return root.path("layers", layer.diff_id.hex)


def test_what_images_share_is_told(store: Store) -> None:
    base, one, other = (store.base(f"file {name} text={name * 3000}") for name in "abc")
    for name, top in (("one", one), ("other", other)):
        layers = (base.diff_id, top.diff_id)
        config = ImageConfig(Platform("linux", "amd64"), diff_ids=layers)
        ImageStore(store.root).add(config.encode(), [Reference.parse(name)])
    entries = by_kind(store.root)["image"].entries
    assert {(entry.size - entry.shared, entry.shared) for entry in entries} == {
        (one.size, base.size),
        (other.size, base.size),
    }


def test_a_file_that_layers_share_counts_once(store: Store) -> None:
    """As pieces of a large COPY do. It is given back with the last layer that has it."""
    named, step = (store.base(f"file {name} text={name}") for name in "ab")
    store.image(named, "app")
    store.step(step)
    store.root.close()
    before = by_kind(store.root)
    shared = Path(directory(store.root, named), "piece")
    shared.write_bytes(b"x" * 100_000)
    Path(directory(store.root, step), "piece").hardlink_to(shared)
    found = by_kind(store.root)
    size = os.stat(shared).st_blocks * 512
    assert found["image"].size == before["image"].size + size
    assert (found["step"].size, found["step"].reclaimable) == before["step"][2:]
    shared.unlink()
    assert by_kind(store.root)["step"].reclaimable == before["step"].reclaimable + size


def test_layers_that_nothing_names_count_too(store: Store) -> None:
    lost = store.base("file a text=a")
    store.root.close()
    found = by_kind(store.root)["layer"]
    assert found.size == found.reclaimable == tree_size(directory(store.root, lost))


def test_what_is_in_use_is_not_reclaimable(store: Store) -> None:
    layer = store.base("file a text=a")
    store.step(layer)
    size = tree_size(directory(store.root, layer))
    store.root.close()
    with StateRoot.open(store.root.top) as other:
        other.use("layer", layer.diff_id)
        assert by_kind(store.root)["step"].reclaimable == 0
        assert by_kind(store.root)["step"].active == 1
    assert by_kind(store.root)["step"].reclaimable == size


def test_a_tree_takes_the_blocks_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x" * 10_000)
    before = tree_size(str(tmp_path))
    assert before >= 10_000
    (tmp_path / "a/again").hardlink_to(tmp_path / "a/b/file")
    assert tree_size(str(tmp_path)) == before
