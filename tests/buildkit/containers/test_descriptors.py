"""What fails on the way closes what it had opened."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.containers import copying, volumes
from buildkit.containers.copying import Place
from tests.trees import make_tree


class Full(Exception):  # noqa: N818 - a full disk, which is no name of a class of ours
    """What a sink raises."""


def _full(*_: object) -> tuple[int, int]:
    raise Full


def _archived(name: str) -> Callable[[int, str], object]:
    return lambda fd, _scratch: copying.archive(fd, name, _full, follow=False)


def _seeded(fd: int, scratch: str) -> object:
    os.mkdir(f"{scratch}/new")
    return volumes.seed_from(fd, "dir", scratch, owned=_full)(f"{scratch}/new")


@pytest.mark.parametrize(
    "work",
    [
        _archived("dir"),
        _archived("dir/file"),
        _archived("dir/link"),
        lambda fd, scratch: copying.copy(
            Place(fd, "dir"), Place(fd, "other"), scratch, follow=False, owner=None, owned=_full
        ),
        _seeded,
    ],
    ids=["a directory", "a file", "a link", "a copy", "a volume"],
)
def test_nothing_stays_open_after_a_failure(
    tmp_path: Path, work: Callable[[int, str], object]
) -> None:
    tree = make_tree(tmp_path / "tree", "file dir/file 0644 text=x", "link dir/link -> file")
    (tree / "dir/file").write_bytes(bytes(4 << 20))  # more than a writer holds back
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Full):
        work(fd, str(tmp_path))
    assert os.listdir("/proc/self/fd") == before
    os.close(fd)
