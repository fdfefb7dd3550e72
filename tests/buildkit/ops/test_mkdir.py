"""WORKDIR: directories with their parents, made as overlayfs would show them."""

import os
from pathlib import Path

import pytest

from buildkit.errors import StepError
from buildkit.llb.op import MkdirOp
from buildkit.ops.mkdir import make_directory
from tests.kernel import needs_root
from tests.trees import make_tree, read_tree

PASSWD = "file etc/passwd text=app:x:5:6::/:/bin/sh"


@needs_root
@pytest.mark.parametrize(
    ("parent", "op", "upper"),
    [
        ([], MkdirOp("/a/b", ""), ["dir a 0755 0:0", "dir a/b 0755 0:0"]),
        ([], MkdirOp("/a/b", "3:4"), ["dir a 0755 3:4", "dir a/b 0755 3:4"]),
        ([PASSWD], MkdirOp("/a", "app"), ["dir a 0755 5:6"]),
        (["dir a 0700 1:1"], MkdirOp("/a/b", "3"), ["dir a 0700 1:1", "dir a/b 0755 3:3"]),
        (["dir a 0700 1:1"], MkdirOp("/a", "3"), ["dir a 0700 1:1"]),
        (
            ["dir real", "link a -> real"],
            MkdirOp("/a/b", ""),
            ["dir real 0755 0:0", "dir real/b 0755 0:0"],
        ),
        (["link a -> ../../x"], MkdirOp("/a", ""), ["dir x 0755 0:0"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value[0]),
)
def test_a_directory_is_made_where_it_is_missing(
    tmp_path: Path, parent: list[str], op: MkdirOp, upper: list[str]
) -> None:
    assert made(tmp_path, parent, op) == upper


@needs_root
@pytest.mark.parametrize(
    ("parent", "op", "message"),
    [
        (["file a"], MkdirOp("/a", ""), "a"),
        (["file a"], MkdirOp("/a/b", ""), "a"),
        ([], MkdirOp("/a", "nobody-here"), "nobody-here"),
    ],
    ids=str,
)
def test_what_cannot_be_made_is_told(
    tmp_path: Path, parent: list[str], op: MkdirOp, message: str
) -> None:
    with pytest.raises(StepError, match=message):
        made(tmp_path, parent, op)


def made(tmp_path: Path, parent: list[str], op: MkdirOp) -> list[str]:
    below = make_tree(tmp_path / "parent", *parent)
    upper = make_tree(tmp_path / "upper")
    fd = os.open(below, os.O_RDONLY | os.O_DIRECTORY)
    try:
        make_directory(op, fd, str(upper))
    finally:
        os.close(fd)
    return read_tree(upper)
