"""What layers take on the disk: each file once, and given back with its last name."""

from __future__ import annotations

import os
from pathlib import Path

from buildkit.snapshot.disk import LayerDisk, taken, tree_size


def blocks(path: Path) -> int:
    return os.lstat(path).st_blocks * 512


def test_a_file_counts_once_and_goes_with_its_last_layer(tmp_path: Path) -> None:
    paths = [(name, tmp_path / name) for name in "abc"]
    for _, path in paths:
        path.mkdir()
    (tmp_path / "a/file").write_bytes(b"x" * 100_000)
    (tmp_path / "a/again").hardlink_to(tmp_path / "a/file")
    (tmp_path / "b/file").hardlink_to(tmp_path / "a/file")
    (tmp_path / "c/own").write_bytes(b"y" * 10_000)
    disk = LayerDisk((name, str(path)) for name, path in paths)
    file, own = blocks(tmp_path / "a/file"), blocks(tmp_path / "c/own")
    each = blocks(tmp_path / "c")
    assert disk.size({"a", "b"}) == file + blocks(tmp_path / "a") + blocks(tmp_path / "b")
    assert disk.size({"b"}, {"a"}) == blocks(tmp_path / "b")
    assert [disk.free(names) for names in ({"a"}, {"b"}, {"c"})] == [
        blocks(tmp_path / "a"),
        blocks(tmp_path / "b"),
        each + own,
    ]
    assert disk.free({"a", "b"}) == disk.size({"a", "b"})
    assert disk.size({"nobody's"}) == disk.free({"nobody's"}) == 0


def test_a_tree_that_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert taken(str(tmp_path / "gone")) == (0, {})
    assert tree_size(str(tmp_path / "gone")) == 0
