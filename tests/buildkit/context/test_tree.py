"""Trees by descriptor: extremes of names and depths, and files that change under us."""

import os
from pathlib import Path

import pytest

from buildkit.context.descent import Descent
from buildkit.context.tree import Missing, Tree
from buildkit.errors import ContextError
from tests.trees import make_tree


@pytest.fixture
def root(tmp_path: Path) -> int:
    return os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)


def make_deep(root: int, depth: int) -> str:
    names = [f"a level with a long name {number:04}" for number in range(depth)]
    here = os.dup(root)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.close(here)
    return "/".join(names)


def test_a_tree_deeper_than_path_max_can_be_walked(root: int) -> None:
    path = make_deep(root, 250)
    assert len(path) > 4096
    before = len(os.listdir("/proc/self/fd"))
    with Descent(root) as descent:
        assert os.listdir(descent.go(path)) == ["leaf"]
        assert len(os.listdir("/proc/self/fd")) - before < 80
        above = path.rpartition("/")[0]
        assert os.listdir(descent.go(above)) == ["a level with a long name 0249"]
        top = path.split("/")[0]
        assert os.listdir(descent.go(top)) == ["a level with a long name 0001"]
        assert os.listdir(descent.go(path)) == ["leaf"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_may_be_any_bytes(root: int, tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"new\nline", b"z" * 255, "\u00e9".encode(), b" "]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    rows = Tree(root, "tree").directory("").rows
    assert [os.fsencode(row[0]) for row in rows] == sorted(names)


def test_a_link_never_leads_out(root: int, tmp_path: Path) -> None:
    make_tree(tmp_path, "link up -> ../../../..", "link conf -> /etc", "file inside text=1")
    tree = Tree(root, "tree")
    assert tree.find("up").path == ""
    assert tree.find("up/inside").path == "inside"
    with pytest.raises(Missing) as missing:
        tree.find("conf/passwd")
    assert missing.value.path == "etc/passwd"


def test_a_directory_swapped_for_a_link_is_not_followed(root: int, tmp_path: Path) -> None:
    make_tree(tmp_path, "file d/x text=1")
    tree = Tree(root, "tree")
    tree.directory("")
    (tmp_path / "d").rename(tmp_path / "moved")
    (tmp_path / "d").symlink_to("/etc")
    with pytest.raises(ContextError, match="'d' changed while it was read"):
        tree.directory("d")


def test_a_file_swapped_for_a_fifo_is_not_waited_for(root: int, tmp_path: Path) -> None:
    make_tree(tmp_path, "file x text=1")
    tree = Tree(root, "tree")
    (row,) = tree.directory("").rows
    (tmp_path / "x").unlink()
    os.mkfifo(tmp_path / "x")
    with pytest.raises(ContextError, match="'x' changed while it was read"):
        tree.content("", row)


@pytest.mark.parametrize(("mode", "plain"), [(0o664, 0o644), (0o750, 0o755), (0o4711, 0o755)])
def test_plain_modes_know_two(root: int, mode: int, plain: int) -> None:
    assert Tree(root, "tree", plain_modes=True).mode(0o100000 | mode, "x") == plain
