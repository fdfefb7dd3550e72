"""What is left in an upper directory that was filled, changed and folded."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.snapshot.copied import fill, fold
from buildkit.snapshot.marks import opaque_attribute
from tests.kernel import require
from tests.trees import make_tree

LOWER = (
    "dir d 0755 mtime=5",
    "file d/one 0644 text=1 mtime=7",
    "file d/two 0644 text=2 mtime=7",
    "file e/in/deep 0644 text=3",
)


def _swap(root: Path) -> None:
    (root / "d/one").rename(root / "t")
    (root / "d/two").rename(root / "d/one")
    (root / "t").rename(root / "d/two")


def _rewrite(root: Path) -> None:
    (root / "d/one").write_text("9")
    os.utime(root / "d/one", (7, 7))


def _lie(root: Path) -> None:
    os.setxattr(root / "d", opaque_attribute(), b"y")


def _claim(root: Path) -> None:
    for path in (root / "d/none", root / "new/none"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.setxattr(path, opaque_attribute().replace("opaque", "whiteout"), b"y")


CASES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "nothing": (lambda root: root, set()),
    "files of equal size and time in each other's place": (_swap, {"d/one", "d/two"}),
    "other bytes with the time set back": (_rewrite, {"d/one"}),
    "a mark that the step set itself": (_lie, set()),
    "deletions that the step has made itself": (_claim, {"d/none", "new/none"}),
    "a directory moved": (lambda root: (root / "e").rename(root / "f"), {"e", "f/in/deep"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_left(name: str, tmp_path: Path) -> None:
    require("root")
    change, left = CASES[name]
    lower, upper = make_tree(tmp_path / "lower", *LOWER), tmp_path / "upper"
    upper.mkdir()
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (lower, upper)]
    try:
        filled = fill(fds[0], fds[1], lambda: None)
        # What has the time of the very tick is left for its bytes to be compared: take the next.
        start = _tick(tmp_path / "clock", filled)
        for path in lower.rglob("*"):
            assert (upper / path.relative_to(lower)).lstat().st_mtime_ns == path.stat().st_mtime_ns
        change(upper)
        fold(fds[0], fds[1], start)
    finally:
        for fd in fds:
            os.close(fd)
    found = {str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_dir()}
    assert found == left
    for path in (upper / "d", *upper.rglob("*")):
        assert not [one for one in os.listxattr(path) if ".overlay." in one]


def _tick(clock: Path, last: int) -> int:
    """Wait for a tick of the file system's clock after `last`; return its time in ns."""
    now = last
    while now <= last:
        clock.write_text(str(now))
        now = clock.stat().st_ctime_ns
    return now
