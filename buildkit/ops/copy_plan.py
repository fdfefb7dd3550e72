"""A COPY decided before anything is written: what its layer will hold, item by item.

In: the op, its selection, the trees it was selected from, a view of the parent (None for scratch
and --link). Out: the items of the layer, in the order of its tar, and for each file where its
content comes from; exactly what `copy.py` would write, of which `snapshot/diff.py` would leave out
what the parent has already. Or nothing: where that takes more than files, directories and links
that have no extended attributes, where something is in the way or comes twice, `copy.py` decides.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from buildkit.context.descent import Descent
from buildkit.context.paths import join, native, within
from buildkit.context.rows import hashed, open_file
from buildkit.context.tree import Tree
from buildkit.llb.op import CopyOp, InlineFile
from buildkit.ops.chown import Owner, find_owner
from buildkit.ops.copy import mode_of
from buildkit.ops.select import inline_bytes
from buildkit.ops.selection import INLINE, Entry, Root, Selection
from buildkit.snapshot.layer import WHITEOUT
from buildkit.snapshot.pieces import Item
from buildkit.tree.entry import read_xattrs
from grammar.values import Mode
from runtime import owners, safepath
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


_ROOT = Owner(0, 0)
_PATH_MAX = 2000
"""Bytes; longer paths are for who goes down them step by step."""

_TIME_MAX = (1 << 31) * 1_000_000_000
"""ns; every file system keeps times below that as they are."""

_LARGE = 1 << 20
"""Bytes from which on a file is asked for holes."""

Place: TypeAlias = tuple[int, str] | bytes
"""Where content comes from: the number of an input and a path in it; or the content."""


class Plan(NamedTuple):
    """See the module. `places` by path, of regular files; `changed`: what the parent has, too."""

    items: tuple[Item, ...]
    places: Mapping[bytes, Place]
    changed: frozenset[bytes]
    owners: frozenset[Owner]


def plan(
    op: CopyOp,
    selection: Selection,
    trees: Mapping[int, Tree],
    parent: int | None,
    *,
    owner_view: int | None = None,
    clamp: int | None = None,
    now: int,
) -> Plan | None:
    """Return what `op` comes to; None where only `copy.copy_into` can tell.

    `owner_view` as there. `clamp`: no time is later than that, in seconds. `now`, in ns: the time
    of directories that are made on the way. Raises StepError for an owner that is not to be found,
    ContextError for a source that has changed since it was selected.
    """
    owner = None
    if op.chown:
        owner = find_owner(op.chown, parent if owner_view is None else owner_view)
    planning = _Planning(op, selection, trees, parent, owner, now)
    try:
        planning.run()
        return planning.result(None if clamp is None else clamp * 1_000_000_000)
    except _UndecidedError:
        return None
    finally:
        planning.close()


class _UndecidedError(Exception):
    """Something that is not for a plan."""


class _Directory:
    """A directory of the layer. `below`: mode and owner of the parent's, None if it has none."""

    __slots__ = ("below", "mode", "mtime_ns", "owner")

    def __init__(
        self, mode: int, owner: Owner, mtime_ns: int, below: tuple[int, Owner] | None
    ) -> None:
        self.mode = mode
        self.owner = owner
        self.mtime_ns = mtime_ns
        self.below = below

    def is_change(self) -> bool:
        """Say whether it is one by itself; a time alone is none."""
        return (self.mode, self.owner) != self.below


class _Planning:
    """One `plan`."""

    def __init__(
        self,
        op: CopyOp,
        selection: Selection,
        trees: Mapping[int, Tree],
        parent: int | None,
        owner: Owner | None,
        now: int,
    ) -> None:
        self._op = op
        self._selection = selection
        self._trees = trees
        self._parent_fd = parent
        self._parent = None if parent is None else Descent(parent)
        self._owner = owner
        self._now = now
        self._chmod: Mode | None = mode_of(op.chmod) if op.chmod else None
        octal = None if self._chmod is None else self._chmod.octal
        self._made = _Directory(0o755 if octal is None else octal, owner or _ROOT, now, None)
        self._sources = {origin: Descent(tree.root_fd) for origin, tree in trees.items()}
        self._directories: dict[str, _Directory | None] = {"": None}
        self._files: dict[str, Item | None] = {}
        self._places: dict[bytes, Place] = {}
        self._changed: set[bytes] = set()
        self._firsts: dict[int, Item] = {}

    def close(self) -> None:
        for descent in self._sources.values():
            descent.close()
        if self._parent is not None:
            self._parent.close()

    def run(self) -> None:
        """Decide about all roots."""
        if self._parent_fd is not None and read_xattrs(_proc(self._parent_fd)):
            # An access list for new files of the root would be given to some of these.
            raise _UndecidedError
        dest = native(self._op.dest)
        resolved = self._resolve(dest)
        for root in self._selection.roots:
            self._firsts.clear()
            entries = self._selection.entries(root)
            if root.directory:
                self._directory(resolved)
                for entry in entries:
                    self._add(root, entry, join(resolved, entry.path))
                continue
            if self._op.unpack != "never" and root.origin != INLINE:
                raise _UndecidedError
            path = resolved
            if dest.endswith("/") or self._is_directory(path):
                path = join(path, root.name)
            elif len(self._selection.roots) > 1:
                raise _UndecidedError
            for entry in entries:
                self._add(root, entry, path)

    def result(self, clamp: int | None) -> Plan:
        """Return the plan."""
        files = [item for item in self._files.values() if item is not None]
        needed = {path for path, one in self._directories.items() if one and one.is_change()}
        changed = (path for path, item in self._files.items() if item is not None)
        for above in {path.rpartition("/")[0] for path in (*changed, *needed)}:
            while above and above not in needed:
                needed.add(above)
                above = above.rpartition("/")[0]  # noqa: PLW2901 - the way up
        items = sorted((*files, *map(self._item, needed)), key=_place)
        if clamp is not None:
            items = [item._replace(mtime_ns=min(item.mtime_ns, clamp)) for item in items]
        _refuse_odd(items)
        return Plan(
            tuple(items),
            self._places,
            frozenset(self._changed),
            frozenset(Owner(*ids) for ids in {(item.uid, item.gid) for item in items}),
        )

    def _item(self, path: str) -> Item:
        one = self._directories[path]
        assert one is not None
        name = os.fsencode(path)
        if one.below is not None:
            self._changed.add(name)
        mode = stat.S_IFDIR | one.mode
        return Item(name, mode, *one.owner, 0, one.mtime_ns, b"", b"", "")

    def _resolve(self, path: str) -> str:
        if self._parent_fd is None:
            return within(path)
        try:
            return within(safepath.resolve(self._parent_fd, path))
        except OSError as error:
            raise _UndecidedError from error

    def _is_directory(self, path: str) -> bool:
        if path in self._directories:
            return True
        if path in self._files or self._parent is None:
            return False
        try:
            self._parent.go(path)
        except OSError:
            return False
        return True

    def _below(self, above: str, name: str) -> os.stat_result | None:
        """Return what the parent has as `name` in the directory `above`."""
        one = self._directories[above]
        if self._parent is None or (one is not None and one.below is None):
            return None
        try:
            return owners.stat_at(name, self._parent.go(above))
        except FileNotFoundError:
            return None

    def _directory(self, path: str) -> None:
        """Have the directory `path` and those above it."""
        missing = []
        while path not in self._directories:
            missing.append(path)
            path = path.rpartition("/")[0]
        for here in reversed(missing):
            if here in self._files:
                raise _UndecidedError
            above, _, name = here.rpartition("/")
            found = self._below(above, name)
            self._directories[here] = self._kept(here, found)

    def _kept(self, path: str, found: os.stat_result | None) -> _Directory:
        """Return a directory as the parent has it, or as one that has to be made."""
        if found is None:
            made = self._made
            return _Directory(made.mode, made.owner, made.mtime_ns, None)
        assert self._parent is not None
        if not stat.S_ISDIR(found.st_mode) or read_xattrs(_proc(self._parent.go(path))):
            raise _UndecidedError
        below = (stat.S_IMODE(found.st_mode), Owner(found.st_uid, found.st_gid))
        return _Directory(*below, found.st_mtime_ns, below)

    def _add(self, root: Root, entry: Entry, path: str) -> None:
        """Have `entry` of `root` at `path`."""
        if entry.xattrs or not path:
            raise _UndecidedError
        mode = entry.mode
        if self._chmod is not None:
            mode = self._chmod.apply(mode, directory=entry.kind == "dir")
        owner = self._owner or Owner(entry.uid, entry.gid)
        if entry.kind == "dir":
            self._directory(path)
            one = self._directories[path]
            assert one is not None
            one.mode, one.owner, one.mtime_ns = mode, owner, self._time_of(root, entry)
            return
        name = os.fsencode(path)
        place: Place
        if root.origin == INLINE:
            source = self._op.sources[root.number]
            assert isinstance(source, InlineFile)
            entry = entry._replace(mtime_ns=self._now)
            place = inline_bytes(source)
        else:
            place = (root.origin, join(root.path, entry.path))
        if entry.kind == "file":
            item = Item(
                name, stat.S_IFREG | mode, *owner, entry.size, entry.mtime_ns, b"", b"",
                entry.content,
            )  # fmt: skip
            self._places[name] = place
            if entry.size >= _LARGE:
                self._refuse_holes(root, entry)
        elif entry.kind == "link":
            target = os.fsencode(entry.content)
            item = Item(
                name, stat.S_IFLNK | 0o777, *owner, 0, entry.mtime_ns, target, b"", ""
            )  # fmt: skip
        else:
            raise _UndecidedError
        if entry.same:
            first = self._firsts.setdefault(entry.same, item)
            if first is not item:
                item = first._replace(path=name, link=first.path)
        self._put(path, item, is_one_of_many=entry.same != 0)

    def _put(self, path: str, item: Item, *, is_one_of_many: bool) -> None:
        """Have a file or link, if it is a change."""
        above, _, name = path.rpartition("/")
        self._directory(above)
        if path in self._files or path in self._directories:
            raise _UndecidedError
        found = self._below(above, name)
        if found is not None:
            if stat.S_ISDIR(found.st_mode):
                raise _UndecidedError
            if not is_one_of_many and self._is_there(above, name, found, item):
                self._files[path] = None
                return
            self._changed.add(item.path)
        self._files[path] = item

    def _is_there(self, above: str, name: str, found: os.stat_result, item: Item) -> bool:
        """Say whether the parent has this very file or link; `found` is what it has."""
        is_link = stat.S_ISLNK(item.mode)
        if (
            found.st_mtime_ns != item.mtime_ns
            or found.st_mode != item.mode
            or (found.st_uid, found.st_gid) != (item.uid, item.gid)
            or (not is_link and found.st_size != item.size)
        ):
            return False
        assert self._parent is not None
        here = self._parent.go(above)
        if is_link:
            # Attributes of a link, if it had any, would be a difference.
            if read_xattrs(owners.at(here, name)):
                raise _UndecidedError
            return os.fsencode(os.readlink(name, dir_fd=here)) == item.target
        fd = open_file(name, here)
        try:
            return not read_xattrs(fd) and hashed(fd) == item.content
        finally:
            os.close(fd)

    def _time_of(self, root: Root, entry: Entry) -> int:
        """Return the time of a directory now; its row does not tell."""
        found = self._look(root, entry)
        if not stat.S_ISDIR(found.st_mode):
            raise self._trees[root.origin].moved(join(root.path, entry.path))
        return found.st_mtime_ns

    def _refuse_holes(self, root: Root, entry: Entry) -> None:
        """Leave a file with holes to who can keep them; a tar cannot."""
        if root.origin != INLINE and self._look(root, entry).st_blocks * 512 < entry.size:
            raise _UndecidedError

    def _look(self, root: Root, entry: Entry) -> os.stat_result:
        tree = self._trees[root.origin]
        path = join(root.path, entry.path)
        above, _, name = path.rpartition("/")
        try:
            here = self._sources[root.origin].go(above)
            return os.stat(name, dir_fd=here, follow_symlinks=False)
        except OSError as error:
            raise tree.moved(path) from error


def _place(item: Item) -> bytes:
    """Sort key: the order of a tar, names by bytes and a directory before what is in it."""
    return item.path.replace(b"/", b"\0")


def _refuse_odd(items: Sequence[Item]) -> None:
    """Leave to others what a layer or a file system may not hold as it is."""
    times = [item.mtime_ns for item in items]
    paths = [item.path for item in items]
    if items and (min(times) < 0 or max(times) >= _TIME_MAX or max(map(len, paths)) > _PATH_MAX):
        raise _UndecidedError
    if WHITEOUT in b"/".join(paths):
        raise _UndecidedError


def _proc(fd: int) -> bytes:
    """Return a path of a descriptor that may be one of O_PATH."""
    return b"/proc/self/fd/%d/." % fd
