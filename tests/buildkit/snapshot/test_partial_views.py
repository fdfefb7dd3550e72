"""Parts of merged trees: right about the paths that were asked for, and gone with who asked."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import StoreError
from buildkit.ops.stores import Stores
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.partial_views import chosen, with_parents
from buildkit.snapshot.piece_writer import NewItems
from buildkit.snapshot.pieces import Item, read_index
from buildkit.snapshot.snapshot import Snapshot
from tests.buildkit.ops.stock import layer, stores_at
from tests.kernel import needs_root, require
from tests.trees import read_tree

TEXT = b"content"


def file(path: str, data: bytes = TEXT, link: str = "") -> Item:
    return Item(
        os.fsencode(path), 0o100640, 3, 4, len(data), 5_000_000_007, b"", os.fsencode(link),
        hashlib.sha256(data).hexdigest(),
    )  # fmt: skip


def directory(path: str) -> Item:
    return Item(os.fsencode(path), 0o040711, 1, 2, 0, 6_000_000_000, b"", b"", "")


ITEMS = (
    directory("a"),
    file("a/first"),
    directory("b"),
    file("b/other", link="a/first"),
    directory("d"),
    directory("d/e"),
    file("d/e/f", b""),
    *(file(f"z{number}") for number in range(20)),
)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    require("root")
    require("overlay")
    with stores_at(tmp_path / "root") as found:
        yield found


@pytest.fixture
def parent(stores: Stores) -> Snapshot:
    """A layer that is kept as its tar, on one that is not."""
    base = layer(stores, "file d/below 0600 text=B", "file base")
    new = NewItems(ITEMS, lambda _: (TEXT,), (), None)
    views = stores.snapshots
    return views.commit_items(views.prepare(base), new).snapshot


def told(fd: int) -> list[str]:
    return [
        line for line in read_tree(Path(f"/proc/self/fd/{fd}/."), times=True) if "base" not in line
    ]


def half_made(stores: Stores) -> int:
    return sum(len(names) for _, names, _ in os.walk(stores.root.path("tmp")))


def has_tree(stores: Stores, snapshot: Snapshot) -> bool:
    layers = Layers(stores.root)
    return not any(map(layers.lacks_tree, snapshot.diff_ids))


@needs_root
def test_what_paths_lead_through_is_there_and_goes_again(stores: Stores, parent: Snapshot) -> None:
    before = half_made(stores)
    assert not stores.snapshots.is_whole(parent)
    with stores.snapshots.partial_view(parent, {b"d/e/f", b"d/below", b"missing/x"}) as fd:
        assert [line for line in told(fd) if not line.startswith("file d/below")] == [
            "dir d 0711 1:2 mtime=6",
            "dir d/e 0711 1:2 mtime=6",
            "file d/e/f 0640 3:4 mtime=5.000000007",
        ]
        assert os.stat("d/below", dir_fd=fd).st_size == 1
        assert half_made(stores) > before
    assert half_made(stores) == before
    assert not has_tree(stores, parent)


@needs_root
def test_a_hard_link_comes_with_the_file_that_it_is(stores: Stores, parent: Snapshot) -> None:
    with stores.snapshots.partial_view(parent, {b"b/other"}) as fd:
        assert os.stat("a/first", dir_fd=fd).st_ino == os.stat("b/other", dir_fd=fd).st_ino


@needs_root
def test_who_asks_for_no_more_gets_the_same(stores: Stores, parent: Snapshot) -> None:
    views = stores.snapshots
    with views.partial_view(parent, {b"d/e/f", b"z1"}) as one:
        with views.partial_view(parent, {b"d/e"}) as other:
            assert one == other
        with views.partial_view(parent, {b"z2"}) as other:
            assert one != other
        assert os.stat("z1", dir_fd=one).st_size == len(TEXT)


@needs_root
def test_who_asks_for_most_gets_the_tree(stores: Stores, parent: Snapshot) -> None:
    with stores.snapshots.partial_view(parent, {item.path for item in ITEMS[:20]}) as fd:
        assert len(told(fd)) == len(ITEMS) + 1
    assert has_tree(stores, parent)


@needs_root
def test_a_damaged_file_gives_an_error_and_nothing_else(stores: Stores, parent: Snapshot) -> None:
    before = half_made(stores)
    folder = Path(Layers(stores.root).directory(parent.diff_ids[-1])) / PIECES
    index = read_index(str(folder))
    data = bytearray((folder / "0").read_bytes())
    data[index.content([item.path for item in ITEMS].index(b"z7"))] ^= 1
    (folder / "0").write_bytes(data)
    with stores.snapshots.partial_view(parent, {b"z8"}) as fd:
        assert os.stat("z8", dir_fd=fd).st_size == len(TEXT)
    with pytest.raises(StoreError, match="is damaged"):
        stores.snapshots.partial_view(parent, {b"z7"}).__enter__()
    os.truncate(folder / "0", 100)
    with pytest.raises(StoreError, match="is shorter than it was"):
        stores.snapshots.partial_view(parent, {b"z8"}).__enter__()
    assert half_made(stores) == before


def test_a_path_has_the_directories_above_it() -> None:
    assert with_parents([b"a/b/c", b"a/x", b"", b"e"]) == {b"a", b"a/b", b"a/b/c", b"a/x", b"e"}


@needs_root
@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ((), []),
        ((b"no", b"no/x"), []),
        ((b"d", b"d/e"), [4, 5]),
        ((b"b", b"b/other"), [0, 1, 2, 3]),
        (tuple(item.path for item in ITEMS[6:]), None),
    ],
    ids=str,
)
def test_as_many_items_are_chosen_as_are_needed(
    wanted: tuple[bytes, ...], numbers: list[int] | None, stores: Stores, parent: Snapshot
) -> None:
    index = read_index(f"{Layers(stores.root).directory(parent.diff_ids[-1])}/{PIECES}")
    assert chosen(index, frozenset(wanted)) == numbers
