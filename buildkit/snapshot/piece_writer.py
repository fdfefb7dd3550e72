"""A layer's tar, written in pieces: what an earlier layer has, too, is not written again.

In: items in the order of the tar, what gives their content, and perhaps an earlier layer that is
kept as pieces. Out: the pieces with their index, diff ID and fingerprint, the same as without the
earlier layer. Of that one whole runs of items go into the hash as they lie on the disk, and it is
held against its checksum on the way: a damaged layer passes nothing on (R2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack

from buildkit.content.writeback import SyncedFile
from buildkit.errors import StoreError
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.snapshot.hashing import HashingSink
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.pieces import Extent, Index, Item, Pieces, read_index, write_index
from buildkit.snapshot.rootdir import RootAttributes
from buildkit.snapshot.tarheader import END, header, padding
from buildkit.snapshot.watch import Watch
from buildkit.state.removal import remove_tree
from buildkit.tree.entry import text
from buildkit.tree.fingerprint import SIZE, Checksum, Fingerprinter
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Contents: TypeAlias = Callable[[int], Iterable[bytes]]
"""Gives the content of the item with that number; raises when it is not what the item says."""

_OWN = 0
_BLOCK = 1 << 20
_SECOND = 1_000_000_000
_MANY = 64
"""Pieces of an earlier layer from which on all is written anew."""


class NewItems(NamedTuple):
    """What a new layer consists of: `items` in the order of the tar.

    `changed`: paths of those that the tree below has, too. `earlier`: a layer that may have some of
    the same items.
    """

    items: Sequence[Item]
    contents: Contents
    changed: Collection[bytes]
    earlier: Digest | None


class Written(NamedTuple):
    """What a tar came to; `size` in bytes."""

    diff_id: Digest
    size: int
    fingerprint: Fingerprint


class _LostError(Exception):
    """The earlier layer is of no use."""


def write_pieces(
    folder: str,
    items: Sequence[Item],
    contents: Contents,
    *,
    seed: int,
    root: RootAttributes,
    earlier: str | None = None,
    watch: Watch | None = None,
) -> Written:
    """Write the tar of `items` to the new directory `folder`.

    `seed` of the fingerprint; `root`: attributes of the directory that the tree will be in;
    `earlier`: the directory of a layer that may have some of them; `watch` sees what goes in, and
    may raise; then nothing is taken from an earlier layer. Raises what `contents` does, OSError.
    """
    if earlier is not None and watch is None:
        try:
            return _write(folder, items, contents, seed, root, earlier, None)
        except _LostError:
            remove_tree(folder)
    return _write(folder, items, contents, seed, root, None, watch)


def _write(
    folder: str,
    items: Sequence[Item],
    contents: Contents,
    seed: int,
    root: RootAttributes,
    earlier: str | None,
    watch: Watch | None,
) -> Written:
    os.mkdir(folder, 0o700)
    with ExitStack() as stack:
        known = None
        if earlier is not None:
            known = stack.enter_context(_opened(earlier))
        tar = stack.enter_context(_Tar(folder))
        writing = _Writing(tar, items, contents, Fingerprinter(seed), watch)
        number = 0
        while number < len(items):
            same = 0 if known is None else writing.take(number, known)
            if not same:
                writing.make(number)
            number += same or 1
        writing.starts.append(tar.size)
        tar.put(END)
        tar.end()
        if known is not None:
            known.finish()
        index = Index(
            items=items,
            hashes=b"".join(writing.hashes),
            starts=writing.starts,
            extents=tuple(tar.extents),
            root=tuple(root),
            checksum=tar.checksum.result(),
        )
        write_index(folder, index)
        return Written(tar.hashing.digest(), tar.size, writing.fingerprinter.result())


class _Tar:
    """The tar so far: hashed, and new bytes written. Closed at the end."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.size = 0
        self.extents: list[Extent] = []
        self.hashing = HashingSink()
        self.checksum = Checksum()
        self._fd = os.open(
            f"{folder}/{_OWN}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        self._file = SyncedFile(self._fd)
        self._parts: list[bytes] = []
        self._held = 0
        self._written = 0

    def __enter__(self) -> _Tar:
        return self

    def __exit__(self, *_: object) -> None:
        self.hashing.close()
        self._file.stop()
        os.close(self._fd)

    def put(self, data: bytes) -> None:
        """Add new bytes."""
        self._parts.append(data)
        self._held += len(data)
        self.size += len(data)
        if self._held >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what is held back."""
        if not self._parts:
            return
        block = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        self.hashing(block)
        self.checksum.update(block)
        self._file.write(block)
        self._extend((_OWN, self._written, len(block)))
        self._written += len(block)

    def end(self) -> None:
        """Write what is held back, the last of all. Raises OSError also for earlier bytes."""
        self.flush()
        self._file.settle()

    def again(self, block: bytes) -> None:
        """Hash bytes that are there already, after a `flush`; `refer` then says where."""
        self.hashing(block)
        self.checksum.update(block)

    def refer(self, piece: int, offset: int, length: int) -> None:
        """Add a range of a linked piece."""
        self._extend((piece, offset, length))
        self.size += length

    def _extend(self, extent: Extent) -> None:
        piece, offset, length = extent
        if self.extents:
            last, begin, before = self.extents[-1]
            if last == piece and begin + before == offset:
                self.extents[-1] = (piece, begin, before + length)
                return
        self.extents.append(extent)


class _Known:
    """An earlier layer, from which items are taken in order. Closed at the end."""

    def __init__(self, directory: str) -> None:
        self.folder = f"{directory}/{PIECES}"
        self.index = read_index(self.folder)
        self._numbers = {item[0]: number for number, item in enumerate(self.index.items)}
        self._pieces = Pieces(self.folder, self.index.extents)
        self._checksum = Checksum()
        self._linked: dict[int, int] = {}
        self._next = 0
        self._checked = 0

    def __enter__(self) -> _Known:
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.__exit__()

    def run(self, items: Sequence[Item], number: int) -> range:
        """Return which items here are those of `items` from `number` on, as far as they are."""
        first = self._numbers.get(items[number].path, -1)
        if first < self._next:
            return range(0)
        end, here = first, self.index.items
        limit = min(len(here), first + len(items) - number)
        while end < limit and here[end] == items[number + end - first]:
            end += 1
        if end > first:
            self._next = end
        return range(first, end)

    def give(self, run: range, tar: _Tar) -> None:
        """Add the items of `run` to `tar`."""
        start, end = self.index.starts[run.start], self.index.starts[run.stop]
        self._check_to(start)
        for block in self._pieces.blocks(start, end):
            self._checksum.update(block)
            tar.again(block)
        self._checked = end
        for piece, offset, length in self._pieces.ranges(start, end):
            if piece not in self._linked:
                name = len(self._linked) + 1
                os.link(f"{self.folder}/{piece}", f"{tar.folder}/{name}", follow_symlinks=False)
                self._linked[piece] = name
            tar.refer(self._linked[piece], offset, length)

    def finish(self) -> None:
        """Raise _LostError when the layer is not what was written."""
        try:
            self._check_to(self._pieces.size)
        except (OSError, StoreError) as error:
            raise _LostError from error
        if self._checksum.result() != self.index.checksum:
            raise _LostError

    def _check_to(self, end: int) -> None:
        for block in self._pieces.blocks(self._checked, end):
            self._checksum.update(block)


def _opened(directory: str) -> _Known:
    """Open an earlier layer. Raises _LostError when there is nothing to be had of it."""
    try:
        known = _Known(directory)
    except (OSError, StoreError) as error:
        raise _LostError from error
    if len({extent[0] for extent in known.index.extents}) >= _MANY:
        # Mostly of little use by now, each of them, and a file to open.
        known.__exit__()
        raise _LostError
    return known


class _Writing:
    """One `_write`."""

    def __init__(
        self,
        tar: _Tar,
        items: Sequence[Item],
        contents: Contents,
        fingerprinter: Fingerprinter,
        watch: Watch | None,
    ) -> None:
        self._tar = tar
        self._items = items
        self._contents = contents
        self._watch = watch
        self.fingerprinter = fingerprinter
        self.hashes: list[bytes] = []
        self.starts: list[int] = []

    def take(self, number: int, known: _Known) -> int:
        """Take the items from `number` on of an earlier layer; return how many it has."""
        run = known.run(self._items, number)
        if run:
            self._tar.flush()
            shift = self._tar.size - known.index.starts[run.start]
            self.starts.extend(known.index.starts[one] + shift for one in run)
            hashes = known.index.hashes[run.start * SIZE : run.stop * SIZE]
            self.hashes.append(hashes)
            self.fingerprinter.again(hashes)
            try:
                known.give(run, self._tar)
            except (OSError, StoreError) as error:
                raise _LostError from error
        return len(run)

    def make(self, number: int) -> None:
        """Write an item that is new."""
        item = self._items[number]
        entry = item.entry()
        tar, fingerprinter, watch = self._tar, self.fingerprinter, self._watch
        if watch is not None:
            watch.entry(entry)
        self.starts.append(tar.size)
        fingerprinter.add(b"+", entry, item.link)
        tar.put(header(entry, item.mtime_ns // _SECOND, item.link or None))
        if item.size and not item.link:
            left = item.size
            for data in self._contents(number):
                left -= len(data)
                if watch is not None:
                    watch.content(data)
                fingerprinter.update(data)
                tar.put(data)
            if left:
                raise StoreError(f"/{text(item.path)} is not as long as it was")
            if item.size & 511:
                tar.put(padding(item.size))
        self.hashes.append(fingerprinter.end())


def digest_with_times(folder: str, times: Iterable[tuple[bytes, int]]) -> Digest | None:
    """Return what the diff ID of the tar in `folder` would be with other times.

    `times`: paths with ns, in the order of a tar. None when the paths differ. Raises OSError.
    """
    index = read_index(folder)
    with Pieces(folder, index.extents) as pieces, HashingSink() as hashing:
        others = iter(times)
        for number in range(len(index.items)):
            item = index.item(number)
            path, mtime_ns = next(others, (b"", 0))
            if path != item.path:
                return None
            hashing(header(item.entry(), mtime_ns // _SECOND, item.link or None))
            if item.size and not item.link:
                for block in pieces.blocks(index.content(number), index.starts[number + 1]):
                    hashing(block)
        if next(others, None) is not None:
            return None
        hashing(END)
        return hashing.digest()
