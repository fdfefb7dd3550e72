import os
from pathlib import Path

import pytest

from buildkit.tree.compare import Difference, compare
from tests.trees import make_tree

SAME = "dir d 0755 mtime=1"


def compared(tmp_path: Path, first: list[str], second: list[str]) -> list[Difference]:
    fds = [
        os.open(make_tree(tmp_path / name, *lines), os.O_RDONLY)
        for name, lines in (("first", first), ("second", second))
    ]
    try:
        return list(compare(fds[0], fds[1]))
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize(
    ("first", "second", "kinds", "offset"),
    [
        ("file d/a text=x mtime=1", "file d/a text=x mtime=1", None, -1),
        ("file d/a text=x mtime=1", "file d/a text=x mtime=2", ("time",), -1),
        ("file d/a text=xaz mtime=1", "file d/a text=xbz mtime=1", ("content",), 1),
        ("file d/a text=xa mtime=1", "file d/a text=xab mtime=1", ("content",), 2),
        ("file d/a 0644 mtime=1", "file d/a 0600 mtime=1", ("mode",), -1),
        ("link d/a -> x", "link d/a -> y", ("target",), -1),
        ("dir d/a 0755", "file d/a 0755", ("type",), -1),
    ],
)
def test_what_differs_of_a_path(
    tmp_path: Path, first: str, second: str, kinds: tuple[str, ...] | None, offset: int
) -> None:
    found = compared(tmp_path, [first, SAME], [second, SAME])
    weighty = [
        one._replace(
            kinds=tuple(kind for kind in one.kinds if kind != "time" or len(one.kinds) == 1)
        )
        for one in found
        if one.path == b"d/a"
    ]
    if kinds is not None and kinds != ("time",):
        weighty = [one for one in weighty if one.kinds != ("time",)]
    assert [(one.kinds, one.offset) for one in weighty] == (
        [] if kinds is None else [(kinds, offset)]
    )


def test_what_only_one_has_comes_in_the_order_of_a_layer(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        ["file a/x mtime=1", "file b mtime=1", "dir a 0755 mtime=1"],
        ["file a-b mtime=1", "file c mtime=1"],
    )
    assert [(one.path, one.kinds) for one in found if one.path] == [
        (b"a", ("only in the first",)),
        (b"a/x", ("only in the first",)),
        (b"a-b", ("only in the second",)),
        (b"b", ("only in the first",)),
        (b"c", ("only in the second",)),
    ]


def test_a_mark_of_directories_counts_as_an_attribute(tmp_path: Path) -> None:
    fd = os.open(make_tree(tmp_path, "dir a", "file b"), os.O_RDONLY)
    number = iter(range(100))
    found = list(compare(fd, fd, mark=lambda _: next(number)))
    os.close(fd)
    assert [(one.path, one.kinds) for one in found] == [
        (b"", ("attributes",)),
        (b"a", ("attributes",)),
    ]
