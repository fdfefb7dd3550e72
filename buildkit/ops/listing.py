"""What lies in a root of a COPY: its files, one by one, in order.

In: a root, the tree it lies in, and what to leave out. Out: rows, and from them entries. A
directory comes before what is in it, names are ordered by their bytes. Three lists of patterns may
have a say: the ignore file (paths of the context), --exclude and the pattern of --parents (paths
below the root). A directory that is not taken itself comes all the same when something in it is.
"""

from __future__ import annotations

import os
import stat

from buildkit.context.glob import BadPattern
from buildkit.context.ignore import NO_RULE, Patterns
from buildkit.context.paths import join
from buildkit.context.tree import Missing, Tree
from buildkit.errors import ContextError, DefinitionError
from buildkit.ops.selection import Entry, Kind, Root
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from buildkit.context.rows import Row, Xattrs
    from buildkit.llb.op import CopyOp


_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
_OCTAL = frozenset("01234567")


class _State(NamedTuple):
    """Where a path stands in each of the lists."""

    ignore: int
    exclude: int
    include: int


class _Frame(NamedTuple):
    """A directory being listed: `path` below the root; `held`: its own row, not yet yielded."""

    path: str
    rows: Iterator[Row]
    state: _State
    held: list[Row]


def is_copied(row: Row, tree: Tree) -> bool:
    """Say whether a COPY from `tree` knows what to do with a file of this kind."""
    if stat.S_ISREG(row[1]):
        return True
    kind = _KINDS.get(stat.S_IFMT(row[1]))
    if kind in ("dir", "link", "fifo"):
        return True
    # A 0/0 device is overlayfs's mark of a deletion and nothing that may be made (S18).
    return tree.special and kind is not None and not (kind == "char" and row[9] == 0)


class Listing:
    """Lists the roots of one op in one tree."""

    def __init__(self, op: CopyOp, tree: Tree) -> None:
        self._tree = tree
        self._exclude = _patterns(op.exclude)
        self._keep_owner = op.keep_owner and not op.chown
        self._keep_mode = not op.chmod or not _OCTAL.issuperset(op.chmod)

    def directories(self, root: Root) -> Iterator[str]:
        """Yield the paths (in the tree) of all directories that `rows` would look into."""
        judge = self._judge(root)
        todo = [("", _start(root))]
        while todo:
            path, state = todo.pop()
            full = join(root.path, path)
            yield full
            for name in reversed(self._tree.directory(full).subdirectories):
                inner = join(path, name)
                walked, _, after = judge(state, inner, True)  # noqa: FBT003
                if walked:
                    todo.append((inner, after))

    def rows(self, root: Root) -> Iterator[tuple[str, Row]]:
        """Yield path below the root, and row, of what is taken from a directory."""
        judge = self._judge(root)
        frames = [self._frame(root, "", _start(root), [])]
        while frames:
            frame = frames[-1]
            prefix, state = f"{frame.path}/" if frame.path else "", frame.state
            for row in frame.rows:
                path = prefix + row[0]
                directory = stat.S_ISDIR(row[1])
                walked, taken, after = judge(state, path, directory)
                if taken and is_copied(row, self._tree):
                    for above in frames:
                        if above.held:
                            yield above.path, above.held.pop()
                    yield path, row
                if directory and walked:
                    frames.append(self._frame(root, path, after, [] if taken else [row]))
                    break
            else:
                frames.pop()

    def entries(self, root: Root) -> tuple[Entry, ...]:
        """Return the entries of `root`. Reads what is not known."""
        if not root.directory:
            if self._exclude is not None and self._exclude.excludes(root.name):
                return ()
            return (self._entry(root.path.rpartition("/")[0], "", self._row(root), {}),)
        inodes: dict[tuple[int, int], list[int]] = {}
        entries: list[Entry] = []
        above, parent = "", root.path
        for path, row in self.rows(root):
            # Most entries lie beside the one before.
            here = path.rpartition("/")[0]
            if here != above:
                above, parent = here, join(root.path, here)
            entries.append(self._entry(parent, path, row, inodes, len(entries)))
        groups = (numbers for numbers in inodes.values() if len(numbers) > 1)
        for same, numbers in enumerate(groups, start=1):
            for number in numbers:
                entries[number] = entries[number]._replace(same=same)
        return tuple(entries)

    def _row(self, root: Root) -> Row:
        """Return the row of a root that is no directory."""
        try:
            row = self._tree.find(root.path).row
        except Missing:
            raise self._tree.moved(root.path) from None
        if not is_copied(row, self._tree):
            raise ContextError(
                f"{self._tree.label}: {root.path!r} is neither a file nor a directory nor a link",
                hint="sockets, and devices of a build context, are never copied",
            )
        return row

    def _frame(self, root: Root, path: str, state: _State, held: list[Row]) -> _Frame:
        rows = self._tree.directory(join(root.path, path)).rows
        return _Frame(path, iter(rows), state, held)

    def _judge(self, root: Root) -> Callable[[_State, str, bool], tuple[bool, bool, _State]]:
        """Return a function: state of a directory, path in it, is it a directory -> verdict.

        The verdict: is it walked into, is it taken, its state.
        """
        ignore, exclude = self._tree.patterns, self._exclude
        include = Patterns.of([f"!{root.include}"]) if root.include else None
        if ignore is None and exclude is None and include is None:
            return lambda state, _path, directory: (directory, True, state)

        def judge(state: _State, path: str, directory: bool) -> tuple[bool, bool, _State]:  # noqa: FBT001
            walked = taken = True
            ignored, excluded, included = state
            if ignore is not None:
                full = join(root.path, path)
                ignored = ignore.step(ignored, full)
                if ignore.hides(ignored):
                    taken = False
                    walked = directory and ignore.may_match_below(full, ignored)
            if exclude is not None and walked:
                excluded = exclude.step(excluded, path)
                if exclude.hides(excluded):
                    taken = False
                    walked = directory and exclude.may_match_below(path, excluded)
            if include is not None and walked:
                included = include.step(included, path)
                if included == NO_RULE:
                    taken = False
                    walked = directory and include.may_match_below(path)
            return walked and directory, taken, _State(ignored, excluded, included)

        return judge

    def _entry(
        self,
        parent: str,
        path: str,
        row: Row,
        inodes: dict[tuple[int, int], list[int]],
        number: int = 0,
    ) -> Entry:
        """Return the entry of `row`, which lies in the directory `parent` of the tree."""
        name, raw, size, mtime_ns, _, inode, links, uid, gid, rdev, device = row
        kind = _KINDS[stat.S_IFMT(raw)]
        content = ""
        xattrs: Xattrs = ()
        if kind == "file":
            content, xattrs = self._tree.content(parent, row)
            if links > 1:
                inodes.setdefault((device, inode), []).append(number)
        elif kind == "link":
            content, xattrs = self._tree.content(parent, row)
        elif kind == "dir":
            xattrs = self._tree.directory(join(parent, name)).xattrs
        elif kind in ("char", "block"):
            content = f"{os.major(rdev)}:{os.minor(rdev)}"
        if not self._keep_owner:
            uid = gid = 0
        size = size if kind == "file" else 0
        mode = self._mode(raw, parent, name)
        # By place: there may be many thousands.
        return Entry(path, kind, mode, uid, gid, size, content, xattrs, 0, mtime_ns)

    def _mode(self, raw: int, parent: str, name: str) -> int:
        """Return the mode of the entry of `name` in `parent`: 0 where it will not matter."""
        if stat.S_ISLNK(raw):
            return 0o777
        if not self._keep_mode:
            return 0
        if not self._tree.plain_modes:
            return stat.S_IMODE(raw)
        return self._tree.mode(raw, join(parent, name))


def _start(root: Root) -> _State:
    return _State(ignore=root.state, exclude=NO_RULE, include=NO_RULE)


def _patterns(texts: tuple[str, ...]) -> Patterns | None:
    try:
        return Patterns.of(texts) if texts else None
    except (BadPattern, ValueError) as error:
        raise DefinitionError(f"--exclude: {error}") from error
