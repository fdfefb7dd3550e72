"""How a layer's directory says that something is deleted."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import StoreError
from buildkit.snapshot import marks
from buildkit.snapshot.listing import listing
from runtime import mounts
from tests.kernel import require
from tests.trees import make_tree


@pytest.fixture
def layer(tmp_path: Path) -> Iterator[int]:
    """Give a layer's top directory with a directory `d` in it."""
    require("root")  # trusted. attributes
    fd = os.open(make_tree(tmp_path / "layer", "dir d", "file d/empty"), os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_deletion_is_a_device_where_it_can_be(layer: int) -> None:
    marks.make_whiteout(layer, b"gone", layer)
    assert marks.is_whiteout(os.stat("gone", dir_fd=layer))
    assert marks.seen_in(layer) is None


def test_an_empty_file_is_a_deletion_where_the_top_says_so(layer: int) -> None:
    inner = os.open("d", os.O_RDONLY, dir_fd=layer)
    marks._make_file(inner, b"gone", layer)
    kinds = {change.path: change.kind for change in listing(layer, with_root=False)}
    assert kinds == {"d": "added", "d/empty": "added", "d/gone": "deleted"}
    seen = marks.seen_in(layer)
    assert seen is not None
    assert not marks.is_whiteout(seen(os.stat("empty", dir_fd=inner), inner, b"empty"))
    os.removexattr(layer, marks.opaque_attribute())
    assert marks.seen_in(layer) is None
    assert {change.kind for change in listing(layer, with_root=False)} == {"added"}
    os.close(inner)


def test_where_the_top_hides_all_no_file_can_be_a_deletion(layer: int) -> None:
    marks.make_opaque(layer)
    inner = os.open("d", os.O_RDONLY, dir_fd=layer)
    with pytest.raises(StoreError, match="cannot hold deletions, such as of 'gone'"):
        marks._make_file(inner, b"gone", layer)
    assert os.listdir(inner) == ["empty"]
    os.close(inner)


def test_overlayfs_takes_such_a_file_for_a_deletion(layer: int, tmp_path: Path) -> None:
    release = os.uname().release.split(".")
    if (int(release[0]), int(release[1])) < (6, 7):
        pytest.skip("overlayfs knows them since Linux 6.7")
    below = make_tree(tmp_path / "below", "file d/gone", "file d/stays", "file e/gone")
    inner = os.open("d", os.O_RDONLY, dir_fd=layer)
    marks._make_file(inner, b"gone", layer)
    marks._make_file(layer, b"e", layer)
    view = mounts.mounted_overlay_fd((str(tmp_path / "layer"), str(below)))
    try:
        top = os.open(".", os.O_RDONLY, dir_fd=view)
        assert sorted(os.listdir(top)) == ["d"]
        os.close(top)
        seen = os.open("d", os.O_RDONLY, dir_fd=view)
        assert sorted(os.listdir(seen)) == ["empty", "stays"]
        assert stat.S_ISREG(os.stat("empty", dir_fd=seen).st_mode)
        os.close(seen)
    finally:
        os.close(view)
        os.close(inner)
