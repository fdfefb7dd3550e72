import os
from pathlib import Path

import pytest

from buildkit.state.removal import remove_tree
from tests.kernel import needs


def test_a_tree_of_thousands_of_levels_goes(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("a" * 20, dir_fd=fd)
        inner = os.open("a" * 20, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    remove_tree(str(tmp_path / ("a" * 20)))
    assert os.listdir(tmp_path) == []


@needs("root")
def test_odd_names_closed_modes_and_links_go_and_what_they_point_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    (tree / "-rf *\n").touch()
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe")).mkdir()
    (tree / "dir").chmod(0)
    tree.chmod(0o500)
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["kept"]


@pytest.mark.parametrize("kind", ["file", "nothing", "link"])
def test_what_is_no_directory_goes_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to("/")
    remove_tree(str(path))
    assert not os.path.lexists(path)
