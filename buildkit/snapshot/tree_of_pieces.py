"""The tree of a layer that is kept as its tar: made when somebody needs it, all of it or a part.

In: the directory of the layer. Out: its `fs`, as a copy into an upper directory would have made
it, times to the nanosecond. What is read of the tar is hashed, so that a damaged one gives an
error and no tree.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from buildkit.errors import StoreError
from buildkit.snapshot import rootdir
from buildkit.snapshot.hashing import HashingSink
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.pieces import Index, Item, Pieces, read_index
from buildkit.tree.descent import Descent, opened
from runtime import owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from buildkit.oci.digest import Digest


_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Contents: TypeAlias = "Callable[[int], Iterable[bytes | memoryview]]"
"""Gives the content of the regular file with that number."""


def make_tree(directory: str, diff_id: Digest, target: str) -> None:
    """Make `target`, the tree of the layer `diff_id` in `directory`.

    What is there after an error is the caller's to remove. Raises StoreError, OSError.
    """
    index = read_index(f"{directory}/{PIECES}")
    with _new(directory, index, target) as (pieces, fd), _Stream(pieces) as stream:

        def contents(number: int) -> Iterator[memoryview]:
            start = index.content(number)
            return stream.take(start, start + index.item(number).size)

        with Descent(fd) as way:
            _Growing(index, contents, way, fd).run(range(len(index.items)))
        if stream.digest() != diff_id:
            raise _damaged(diff_id)


def make_part(
    directory: str, diff_id: Digest, index: Index, numbers: Sequence[int], target: str
) -> None:
    """Make `target`, a tree of some of the items of the layer `diff_id` in `directory`.

    `numbers` of the items in ascending order; with each those of the directories above it, and of
    the file of which it is a hard link. What is there after an error is the caller's to remove.
    Raises StoreError, OSError.
    """
    with _new(directory, index, target) as (pieces, fd), Descent(fd) as way:

        def contents(number: int) -> Iterator[bytes]:
            start, item = index.content(number), index.item(number)
            found = hashlib.sha256()
            for block in pieces.blocks(start, start + item.size):
                found.update(block)
                yield block
            if found.hexdigest() != item.content:
                raise _damaged(diff_id)

        _Growing(index, contents, way, fd).run(numbers)


@contextlib.contextmanager
def _new(directory: str, index: Index, target: str) -> Iterator[tuple[Pieces, int]]:
    """Make the root of a tree; give it as a descriptor, with what is to go into it."""
    os.mkdir(target, 0o700)
    rootdir.write(target, index.root_attributes())
    with opened(target) as fd, Pieces(f"{directory}/{PIECES}", index.extents) as pieces:
        yield pieces, fd


def _damaged(diff_id: Digest) -> StoreError:
    return StoreError(
        f"layer {diff_id} is damaged", hint="pybuild fsck --repair drops it, then build again"
    )


class _Stream:
    """The tar, from its beginning to its end, hashed on the way."""

    def __init__(self, pieces: Pieces) -> None:
        self._hashing = HashingSink()
        self._blocks = pieces.blocks(0, pieces.size)
        self._block = memoryview(b"")
        self._end = 0

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.close()

    def take(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes `start` to `end`, which lie behind what was taken before."""
        while start < end:
            while self._end <= start:
                self._more()
            begin = self._end - len(self._block)
            part = self._block[start - begin : end - begin]
            start += len(part)
            yield part

    def digest(self) -> Digest:
        """Read the rest and return the digest of all."""
        for block in self._blocks:
            self._hashing(block)
        return self._hashing.digest()

    def _more(self) -> None:
        block = next(self._blocks)
        self._hashing(block)
        self._block = memoryview(block)
        self._end += len(block)


class _Growing:
    """One tree."""

    def __init__(self, index: Index, contents: _Contents, way: Descent, root_fd: int) -> None:
        self._index = index
        self._contents = contents
        self._way = way
        self._root_fd = root_fd
        self._open: list[Item] = []
        """The directories that the way leads through."""

    def run(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            item = self._index.item(number)
            while self._open and not item.path.startswith(self._open[-1].path + b"/"):
                self._leave()
            name = item.path.rpartition(b"/")[2]
            if stat.S_ISDIR(item.mode):
                os.mkdir(name, 0o700, dir_fd=self._way.fd)
                self._way.enter(name)
                self._open.append(item)
            elif stat.S_ISLNK(item.mode):
                self._symlink(item, name)
            elif item.link:
                # The plan of a copy lets no path get too long for that.
                os.link(item.link, name, src_dir_fd=self._root_fd, dst_dir_fd=self._way.fd)
            else:
                self._file(number, item, name)
        while self._open:
            self._leave()

    def _leave(self) -> None:
        """Finish a directory: nothing is written into it any more."""
        _complete(self._way.fd, self._open.pop())
        self._way.leave()

    def _symlink(self, item: Item, name: bytes) -> None:
        fd = self._way.fd
        os.symlink(item.target, name, dir_fd=fd)
        owners.give(owners.at(fd, name), item.uid, item.gid)
        os.utime(name, ns=(item.mtime_ns, item.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _file(self, number: int, item: Item, name: bytes) -> None:
        fd = os.open(name, _NEW_FILE, item.mode & 0o777, dir_fd=self._way.fd)
        try:
            for part in self._contents(number):
                left = memoryview(part)
                while left:
                    left = left[os.write(fd, left) :]
            _complete(fd, item)
        finally:
            os.close(fd)


def _complete(fd: int, item: Item) -> None:
    """Give an open file or directory, just made, what it lacks of owner, mode and time."""
    found = os.fstat(fd)
    if owners.are_recorded() or (found.st_uid, found.st_gid) != (item.uid, item.gid):
        owners.give(fd, item.uid, item.gid)
        os.fchmod(fd, stat.S_IMODE(item.mode))
    elif found.st_mode != item.mode:
        os.fchmod(fd, stat.S_IMODE(item.mode))
    os.utime(fd, ns=(item.mtime_ns, item.mtime_ns))
