"""A layer kept as its tar, in pieces: how a large COPY is stored until somebody needs its files.

In: the directory of a layer. Out: what is in its tar, item by item, and any range of its bytes.
`tar/` in it holds the pieces, files named by numbers that never change, and `index`: the items,
where in the tar each begins, and of which ranges of which pieces the tar consists. A layer that
differs from another one in little has hard links to its pieces, and one of its own with the
difference; the file system counts who needs them. `tree_of_pieces.py` makes the layer's tree.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from buildkit.content.streams import Sink
from buildkit.errors import StoreError
from buildkit.snapshot.layout import INDEX, PIECES
from buildkit.snapshot.rootdir import RootAttributes
from buildkit.tree.entry import Entry
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self, TypeAlias


_MAGIC = b"pybuild pieces 1\n"
_HEAD = len(_MAGIC) + 32
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20


class Item(NamedTuple):
    """One name in a layer: a directory, a regular file or a symbolic link.

    Fields are those of `Entry`. `link`: the path in the layer of which it is a hard link, else
    empty. `content`: the sha256 of a regular file in hex, else empty.
    """

    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes
    link: bytes
    content: str

    def entry(self) -> Entry:
        """Return it as the tar, the fingerprint and the search for secrets take it."""
        path, mode, uid, gid, size, mtime_ns, target, _, _ = self
        return Entry(path, mode, uid, gid, size, mtime_ns, 0, None, target, ())


Extent: TypeAlias = tuple[int, int, int]
"""A range of a piece: its number, offset and length in bytes."""


class Index(NamedTuple):
    """What `tar/index` says.

    `items` in the order of the tar, as plain tuples of the fields of `Item`. `hashes`: what the
    fingerprint takes of each item (`tree.fingerprint`), one after the other. `starts`: where in
    the tar each begins, and where the last one ends. `extents` of the whole tar, in order. `root`:
    the attributes of the directory that the tree will be in, as a tuple. `checksum` of the tar.
    """

    items: Sequence[tuple[object, ...]]
    hashes: bytes
    starts: Sequence[int]
    extents: Sequence[Extent]
    root: tuple[object, ...]
    checksum: bytes

    def all(self) -> Iterator[Item]:
        """Yield the items."""
        return map(Item._make, self.items)

    def item(self, number: int) -> Item:
        """Return one of the items."""
        return Item._make(self.items[number])

    def root_attributes(self) -> RootAttributes:
        """Return `root` as what it is."""
        return RootAttributes._make(self.root)

    def content(self, number: int) -> int:
        """Return where in the tar the content of a regular file begins."""
        size = self.item(number).size
        return self.starts[number + 1] - size - (-size % 512)


def write_index(folder: str, index: Index) -> None:
    """Write the index of the pieces in `folder`, last of all. Raises OSError."""
    # It takes plain tuples alone.
    data = marshal.dumps((list(map(tuple, index.items)), *index[1:]), 2)  # type: ignore[arg-type]
    fd = os.open(f"{folder}/{INDEX}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.writelines([_MAGIC, hashlib.sha256(data).digest(), data])


def read_index(folder: str) -> Index:
    """Return the index in `folder`. Raises StoreError when it is not whole, OSError."""
    with open(f"{folder}/{INDEX}", "rb") as file:
        head, data = file.read(_HEAD), file.read()
    if not head.startswith(_MAGIC) or hashlib.sha256(data).digest() != head[len(_MAGIC) :]:
        raise _damaged(f"{folder}/{INDEX} is damaged")
    # Of our own making: the checksum has shown that.
    return Index._make(marshal.loads(data))  # noqa: S302


def _damaged(what: str) -> StoreError:
    return StoreError(what, hint="pybuild fsck --repair drops the layer, then build again")


class Pieces:
    """The pieces in `folder`, open for reading. A context manager."""

    def __init__(self, folder: str, extents: Sequence[Extent]) -> None:
        """Open them. Raises StoreError when one is not there, OSError."""
        self.extents = extents
        self._folder = folder
        self._ends: list[int] = []
        end = 0
        for _, _, length in extents:
            end += length
            self._ends.append(end)
        self.size = end
        self._stack = ExitStack()
        self._fds: dict[int, int] = {}
        try:
            for number in sorted({extent[0] for extent in extents}):
                self._fds[number] = os.open(f"{folder}/{number}", _READ)
                self._stack.callback(os.close, self._fds[number])
        except FileNotFoundError as error:
            self._stack.close()
            raise _damaged(f"{error.filename} is not there any more") from error
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ranges(self, start: int, end: int) -> Iterator[Extent]:
        """Yield the ranges of pieces that hold the bytes `start` to `end` of the tar."""
        at = bisect_right(self._ends, start)
        while start < end:
            piece, offset, length = self.extents[at]
            skipped = start - (self._ends[at] - length)
            taken = min(end, self._ends[at]) - start
            yield piece, offset + skipped, taken
            start += taken
            at += 1

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes `start` to `end` of the tar, at most 1 MiB at a time.

        Raises StoreError when a piece is shorter than it should be, OSError.
        """
        for piece, offset, length in self.ranges(start, end):
            done = 0
            while done < length:
                data = os.pread(self._fds[piece], min(_BLOCK, length - done), offset + done)
                if not data:
                    raise _damaged(f"{self._folder}/{piece} is shorter than it was")
                done += len(data)
                yield data


def pack_pieces(directory: str, sink: Sink) -> None:
    """Write the tar of the layer in `directory`, kept as pieces, to `sink`. Raises OSError."""
    folder = f"{directory}/{PIECES}"
    with Pieces(folder, read_index(folder).extents) as pieces:
        for block in pieces.blocks(0, pieces.size):
            sink(block)
