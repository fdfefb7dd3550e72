"""Two trees held against each other, file by file.

In: descriptors of two directories. Out: what differs, in the order of a layer: sorted by names, a
directory before what is in it, the root (empty path) first. Contents are compared by reading them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from buildkit.tree.entry import Entry
from buildkit.tree.walk import Skip, walk
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Kind: TypeAlias = Literal[
    "only in the first",
    "only in the second",
    "type",
    "content",
    "target",
    "mode",
    "owner",
    "device",
    "attributes",
    "time",
]
"""What can differ, in order of weight."""

_BLOCK = 1 << 20


class Difference(NamedTuple):
    """One path at which two trees differ. `offset`: of the first byte that differs, else -1."""

    path: bytes
    kinds: tuple[Kind, ...]
    first: Entry | None
    second: Entry | None
    offset: int = -1


Mark: TypeAlias = Callable[[int], object]


def _no_mark(_fd: int) -> object:
    return None


def compare(
    first_fd: int,
    second_fd: int,
    *,
    times: bool = True,
    mark: Mark = _no_mark,
    skip: Skip | None = None,
) -> Iterator[Difference]:
    """Yield what differs; without `times` those do not count.

    `mark` returns what else there is to compare about an open directory; `skip` says of a path
    that it and all below it is known to be the same on both sides.
    """
    first, second = walk(first_fd, skip), walk(second_fd, skip)
    one, two = next(first, None), next(second, None)
    while one is not None or two is not None:
        if two is None or (one is not None and _key(one[0]) < _key(two[0])):
            assert one is not None
            yield Difference(one[0].path, ("only in the first",), one[0], None)
            one = next(first, None)
        elif one is None or _key(two[0]) < _key(one[0]):
            yield Difference(two[0].path, ("only in the second",), None, two[0])
            two = next(second, None)
        else:
            found = _compared(one, two, times=times, mark=mark)
            if found.kinds:
                yield found
            one, two = next(first, None), next(second, None)


def _key(entry: Entry) -> list[bytes]:
    return entry.path.split(b"/") if entry.path else []


def _compared(
    one: tuple[Entry, int], two: tuple[Entry, int], *, times: bool, mark: Mark
) -> Difference:
    (first, first_fd), (second, second_fd) = one, two
    kinds: list[Kind] = []
    offset = -1
    if stat.S_IFMT(first.mode) != stat.S_IFMT(second.mode):
        kinds.append("type")
    elif stat.S_ISREG(first.mode):
        offset = _first_difference(first_fd, second_fd)
        if offset >= 0:
            kinds.append("content")
    kinds += _attributes(first, second)
    if (
        "attributes" not in kinds
        and stat.S_ISDIR(first.mode & second.mode)
        and mark(first_fd) != mark(second_fd)
    ):
        kinds.append("attributes")
    if times and first.mtime_ns != second.mtime_ns:
        kinds.append("time")
    return Difference(first.path, tuple(kinds), first, second, offset)


def _attributes(first: Entry, second: Entry) -> Iterator[Kind]:
    if first.target != second.target:
        yield "target"
    if stat.S_IMODE(first.mode) != stat.S_IMODE(second.mode):
        yield "mode"
    if (first.uid, first.gid) != (second.uid, second.gid):
        yield "owner"
    if first.rdev != second.rdev:
        yield "device"
    if first.xattrs != second.xattrs:
        yield "attributes"


def _first_difference(first: int, second: int) -> int:
    """Return the offset of the first byte that differs, -1 when none does."""
    at = 0
    while True:
        one, two = os.pread(first, _BLOCK, at), os.pread(second, _BLOCK, at)
        if one != two:
            return at + next(
                (n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b),
                min(len(one), len(two)),
            )
        if not one:
            return -1
        at += len(one)
