"""What is different between two images, or an image and a container.

In: two `Side`s. Out: `Changed` paths in the order of a layer: added, changed or removed, with
sizes, with what differs, and the layer that it comes from; and sums of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from buildkit.inventory.shared import Shared
from buildkit.inventory.stack import Stacked
from buildkit.tree.compare import Difference, Kind, compare
from buildkit.tree.entry import Entry, text
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Letter: TypeAlias = Literal["A", "C", "D"]
"""Added, changed, deleted: as `docker diff` has them."""

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Side(NamedTuple):
    """One of the two: a descriptor of its merged tree, and its layers, bottom-most first.

    `places`: paths on which a container mounts something; there it is not compared.
    """

    name: str
    fd: int
    layers: tuple[Stacked, ...]
    places: frozenset[str] = frozenset()


class Changed(NamedTuple):
    """A path with a difference. Sizes in bytes, 0 where it is not there or no regular file.

    `kinds`: what differs, for a change. `layer`: number and side of the layer that brought it.
    """

    letter: Letter
    path: str
    type: str
    before: int
    after: int
    kinds: tuple[Kind, ...]
    layer: int

    @property
    def grown(self) -> int:
        """Bytes more than before, negative for fewer."""
        return self.after - self.before


class Sum(NamedTuple):
    """Several changes: of a directory, of a layer, of all."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    grown: int = 0

    def plus(self, one: Changed) -> Sum:
        """Return the sum with one more change."""
        return Sum(
            self.added + (one.letter == "A"),
            self.changed + (one.letter == "C"),
            self.removed + (one.letter == "D"),
            self.grown + one.grown,
        )


def difference(first: Side, second: Side, *, times: bool = False) -> Iterator[Changed]:
    """Yield what is different in `second`; `times`: other times count as well."""
    common = _common(first.layers, second.layers)
    ours, theirs = first.layers[common:], second.layers[common:]
    shared = Shared([layer.fs for layer in (*ours, *theirs)])
    for found in compare(first.fd, second.fd, times=times, skip=shared):
        if not found.path and found.kinds == ("time",):
            continue  # no layer says when the root was changed
        if f"/{text(found.path)}" not in first.places | second.places:
            yield _changed(found, first.layers, second.layers)


def _common(first: tuple[Stacked, ...], second: tuple[Stacked, ...]) -> int:
    """Return how many layers are the same from the bottom on."""
    number = 0
    for one, two in zip(first, second, strict=False):
        if one.diff_id != two.diff_id:
            break
        number += 1
    return number


def _changed(found: Difference, before: tuple[Stacked, ...], after: tuple[Stacked, ...]) -> Changed:
    letter: Letter = "C" if found.first and found.second else "A" if found.second else "D"
    shown = found.second or found.first
    assert shown is not None
    return Changed(
        letter=letter,
        path=f"/{text(found.path)}",
        type=_TYPES.get(stat.S_IFMT(shown.mode), "other"),
        before=_size(found.first),
        after=_size(found.second),
        kinds=found.kinds if letter == "C" else (),
        layer=_brought(found.path, before if letter == "D" else after),
    )


def _size(entry: Entry | None) -> int:
    return 0 if entry is None else entry.size


def _brought(path: bytes, layers: tuple[Stacked, ...]) -> int:
    """Return the number of the upper-most layer that has `path`, 0 where none is found."""
    shown = text(path)
    for layer in reversed(layers):
        if _has(layer.fs, shown):
            return layer.number
    return 0


def _has(tree: str, path: str) -> bool:
    try:
        os.stat(f"{tree}/{path}", follow_symlinks=False)
    except OSError:
        return False
    return True


def summed(changes: Iterable[Changed]) -> tuple[Sum, dict[str, Sum], dict[int, Sum]]:
    """Return the sum of all, by directory (two levels), and by number of layer; removed is 0."""
    whole, directories, layers = Sum(), dict[str, Sum](), dict[int, Sum]()
    for one in changes:
        whole = whole.plus(one)
        top = "/".join(one.path.split("/")[:3]) if one.path.count("/") > 2 else _parent(one)
        directories[top] = directories.get(top, Sum()).plus(one)
        number = 0 if one.letter == "D" else one.layer
        layers[number] = layers.get(number, Sum()).plus(one)
    return whole, directories, layers


def _parent(one: Changed) -> str:
    if one.type == "directory":
        return one.path
    return one.path.rpartition("/")[0] or "/"
