"""What an image's layers hold, and what of it nobody sees or needs.

In: layers, bottom-most first. Out: `Inventory`: the biggest files; bytes that a later layer deletes
or overwrites; copies made by chmod and chown alone; caches of package managers; the same content
under several paths. Layers are read where they lie, one after the other: what is kept is an entry a
file, and content is read only to tell whether two files of one size are the same.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence

from buildkit.inventory.caches import Cache, cache_of
from buildkit.inventory.stack import Stacked
from buildkit.snapshot.marks import is_opaque, seen_in
from buildkit.tree.entry import Entry, text
from buildkit.tree.walk import outline
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Fate: TypeAlias = Literal["deleted", "overwritten", "mode or owner", "times or attributes"]
"""What a later layer does with a file that is still in an earlier one."""

_LEAST_COPY = 64 << 10
"""Bytes of a file from which on copies of it are looked for."""

_BLOCK = 1 << 20


class Held(NamedTuple):
    """A file of the image: `layer` counts from 1, `size` in bytes."""

    path: str
    layer: int
    size: int
    mode: int
    uid: int
    gid: int


class Lost(NamedTuple):
    """A file that a later layer hides, in part or whole, and that is sent along all the same."""

    file: Held
    by: int
    fate: Fate


class Leftover(NamedTuple):
    """A cache of a package manager in the image, as far as one layer brought it."""

    cache: Cache
    layer: int
    size: int
    files: int


class Copies(NamedTuple):
    """Files of equal content, in the order of their paths; `size` of one."""

    size: int
    files: tuple[Held, ...]


class Inventory(NamedTuple):
    """All of it, the largest first. `seen`: bytes of files that show; `counts`: files a layer."""

    seen: int
    counts: dict[int, int]
    biggest: tuple[Held, ...]
    lost: tuple[Lost, ...]
    leftovers: tuple[Leftover, ...]
    copies: tuple[Copies, ...]


_Directory: TypeAlias = "dict[str, _Directory | Held]"


def inventory(layers: Sequence[Stacked]) -> Inventory:
    """Read the layers. Raises OSError."""
    looking = _Looking(layers)
    for layer in layers:
        looking.take(layer)
    held = sorted(_files(looking.tree), key=lambda one: (-one.size, one.path))
    lost = sorted(looking.lost, key=lambda one: (-one.file.size, one.file.path))
    return Inventory(
        seen=sum(one.size for one in held),
        counts=looking.counts,
        biggest=tuple(held[:1000]),
        lost=tuple(lost),
        leftovers=_leftovers(held),
        copies=tuple(_copies(held, layers)),
    )


class _Looking:
    """Stacks layers in memory: what shows after each of them."""

    def __init__(self, layers: Sequence[Stacked]) -> None:
        self._layers = layers
        self.tree: _Directory = {}
        self.lost: list[Lost] = []
        self.counts: dict[int, int] = {}

    def take(self, layer: Stacked) -> None:
        """Put one more layer on top."""
        number = layer.number
        inodes: set[tuple[int, int]] = set()
        fd = os.open(layer.fs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._root(layer, fd)
            for entry, below in outline(fd, seen_in(fd)):
                if entry.path:
                    self._take(number, entry, below, inodes)
        finally:
            os.close(fd)

    def _root(self, layer: Stacked, fd: int) -> None:
        if is_opaque(fd) or os.path.lexists(os.path.join(os.path.dirname(layer.fs), "hides")):
            self._drop(self.tree, layer.number)
            self.tree = {}

    def _take(self, number: int, entry: Entry, below: int, inodes: set[tuple[int, int]]) -> None:
        path = text(entry.path)
        directory, name = self._parent(path, number)
        present = directory.get(name)
        if stat.S_ISDIR(entry.mode):
            if isinstance(present, Held) or (present is not None and is_opaque(below)):
                self._drop({name: present}, number)
                present = None
            if present is None:
                directory[name] = {}
            return
        if stat.S_ISCHR(entry.mode) and entry.rdev == 0:  # a whiteout
            if present is not None:
                self._drop({name: directory.pop(name)}, number)
            return
        self.counts[number] = self.counts.get(number, 0) + 1
        size = entry.size
        if entry.inode is not None:
            size = 0 if entry.inode in inodes else size
            inodes.add(entry.inode)
        held = Held(path, number, size, entry.mode, entry.uid, entry.gid)
        if isinstance(present, Held):
            self._replace(present, held)
        elif present is not None:
            self._drop({name: present}, number)
        directory[name] = held

    def _parent(self, path: str, number: int) -> tuple[_Directory, str]:
        directory = self.tree
        *way, name = path.split("/")
        for part in way:
            inner = directory.get(part)
            if not isinstance(inner, dict):
                if inner is not None:
                    self._drop({part: inner}, number)
                inner = directory[part] = {}
            directory = inner
        return directory, name

    def _drop(self, tree: _Directory, by: int) -> None:
        """Note that all in `tree` is hidden by layer `by`."""
        self.lost += [Lost(one, by, "deleted") for one in _files(tree) if one.size]

    def _replace(self, old: Held, new: Held) -> None:
        if not old.size:
            return
        fate: Fate = "overwritten"
        if old.size == new.size and self._same(old, new):
            alike = (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid)
            fate = "times or attributes" if alike else "mode or owner"
        self.lost.append(Lost(old, new.layer, fate))

    def _same(self, one: Held, two: Held) -> bool:
        return _content(one, self._layers) == _content(two, self._layers)


def _files(tree: _Directory) -> Iterator[Held]:
    """Yield the files in `tree`; deep trees do not matter."""
    todo = [tree]
    while todo:
        for one in todo.pop().values():
            if isinstance(one, Held):
                yield one
            else:
                todo.append(one)


def _content(one: Held, layers: Sequence[Stacked]) -> bytes:
    """Return a digest of a file's content."""
    found = hashlib.sha256()
    path = f"{layers[one.layer - 1].fs}/{one.path}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # a link, or a path too long for a call: equal to itself alone
        return f"{one.layer}/{one.path}".encode("utf-8", "surrogateescape")
    with open(fd, "rb", 0) as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.digest()


def _leftovers(held: Sequence[Held]) -> tuple[Leftover, ...]:
    found: dict[tuple[Cache, int], tuple[int, int]] = {}
    for one in held:
        cache = cache_of(one.path) if one.size else None
        if cache is not None:
            size, files = found.get((cache, one.layer), (0, 0))
            found[cache, one.layer] = (size + one.size, files + 1)
    lines = [Leftover(cache, layer, *sums) for (cache, layer), sums in found.items()]
    return tuple(sorted(lines, key=lambda line: -line.size))


def _copies(held: Sequence[Held], layers: Sequence[Stacked]) -> list[Copies]:
    """Return groups of equal files; `held` is sorted by size."""
    sizes: dict[int, list[Held]] = {}
    for one in held:
        if one.size < _LEAST_COPY:
            break
        if stat.S_ISREG(one.mode):
            sizes.setdefault(one.size, []).append(one)
    found = []
    for size, files in sizes.items():
        if len(files) == 1:
            continue
        alike: dict[bytes, list[Held]] = {}
        for one in files:
            alike.setdefault(_content(one, layers), []).append(one)
        found += [
            Copies(size, tuple(sorted(group, key=lambda one: one.path)))
            for group in alike.values()
            if len(group) > 1
        ]
    return sorted(found, key=lambda group: -group.size * (len(group.files) - 1))
