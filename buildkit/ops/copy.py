"""COPY and ADD, carried out: a selection written into an overlay's upper directory.

In: the op, its selection, the trees it was selected from, a view of the parent (None for scratch
and --link) and the upper. Out: files in the upper. What is written is hashed on the way and has to
be what was selected, or the copy fails and names the file: a layer never contradicts its key (R9).
The caller throws the upper away when this raises. Source: docs/dockerfile.md, 9.2 to 9.7.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping

from buildkit.context.descent import Descent
from buildkit.context.paths import join, native
from buildkit.context.rows import hashed, open_file
from buildkit.context.tree import Tree
from buildkit.errors import DefinitionError, ImageError, StepError
from buildkit.llb.op import CopyOp, InlineFile
from buildkit.oci.digest import Digest
from buildkit.ops.chown import Owner, find_owner
from buildkit.ops.earlier import Earlier
from buildkit.ops.select import inline_bytes
from buildkit.ops.selection import INLINE, Entry, Root, Selection
from buildkit.ops.target import Attributes, Target, failure, set_attributes, set_xattrs
from buildkit.ops.transfer import Transfer, write_all
from grammar.errors import FlagError
from grammar.values import Mode, parse_chmod
from runtime import owners
from runtime.values import NamedTuple

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = Owner(0, 0)
_KINDS = {
    "file": stat.S_ISREG,
    "dir": stat.S_ISDIR,
    "link": stat.S_ISLNK,
    "char": stat.S_ISCHR,
    "block": stat.S_ISBLK,
    "fifo": stat.S_ISFIFO,
}
_NO_LINK = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP)
_SEVERAL = (
    "When using COPY with more than one source file, "
    "the destination must be a directory and end with a /"
)


LinkFrom = Callable[[str, Entry, Attributes], Earlier | None]
"""Given where an entry goes and what it would get: a file to link instead of copying, or None."""


class Copied(NamedTuple):
    """What a copy did: files (of any kind) made, bytes written."""

    files: int
    size: int


def copy_into(
    op: CopyOp,
    selection: Selection,
    trees: Mapping[int, Tree],
    parent: int | None,
    upper: str,
    *,
    check: Callable[[], object] = lambda: None,
    link_from: LinkFrom | None = None,
    owner_view: int | None = None,
) -> Copied:
    """Write `selection` into `upper`, on top of `parent` (a descriptor of its merged tree).

    `check` is called often and may raise to stop. `owner_view` is where names of --chown are looked
    up when that is not `parent` (--link). Raises StepError, ContextError, StoreError.
    """
    chmod = mode_of(op.chmod) if op.chmod else None
    owner = None
    if op.chown:
        owner = find_owner(op.chown, parent if owner_view is None else owner_view)
    made_mode = chmod.octal if chmod is not None and chmod.octal is not None else 0o755
    target = Target(upper, parent, owner=owner or _ROOT, mode=made_mode)
    copier = _Copier(op, selection, trees, target, chmod, owner, Transfer(check), link_from, upper)
    try:
        for root in selection.roots:
            copier.copy(root, check)
        target.finish()
    except OSError as error:
        raise failure(error, op.dest, upper) from error
    finally:
        copier.close()
        target.close()
    return Copied(copier.files, copier.size)


def mode_of(text: str) -> Mode:
    """Return what a --chmod says. Raises DefinitionError."""
    try:
        return parse_chmod(text)
    except FlagError as error:
        raise DefinitionError(error.message, hint=error.hint or "") from error


class _Copier:
    """One `copy_into`."""

    def __init__(
        self,
        op: CopyOp,
        selection: Selection,
        trees: Mapping[int, Tree],
        target: Target,
        chmod: Mode | None,
        owner: Owner | None,
        transfer: Transfer,
        link_from: LinkFrom | None,
        upper: str,
    ) -> None:
        self._op = op
        self._upper = upper
        self._selection = selection
        self._trees = trees
        self._target = target
        self._chmod = chmod
        self._owner = owner
        self._transfer = transfer
        self._link_from = link_from
        self._sources = {origin: Descent(tree.root_fd) for origin, tree in trees.items()}
        self._linked: dict[int, str] = {}
        self._taken: set[int] = set()
        self._dest = native(op.dest)
        self._resolved = target.resolve(self._dest)
        self.files = 0
        self.size = 0

    def close(self) -> None:
        for descent in self._sources.values():
            descent.close()

    def copy(self, root: Root, check: Callable[[], object]) -> None:
        """Copy one root."""
        entries = self._selection.entries(root)
        self._linked.clear()
        if not root.directory:
            for entry in entries:
                if not self._unpack(root, entry, check):
                    self._copy_file_root(root, entry)
            return
        self._target.directory(self._resolved)
        for entry in entries:
            check()
            self._copy_entry(root, entry, join(self._resolved, entry.path))

    def _unpack(self, root: Root, entry: Entry, check: Callable[[], object]) -> bool:
        """Unpack a root that is an archive, if that is wanted; say whether it was."""
        op = self._op
        if op.unpack == "never" or root.origin == INLINE or entry.kind != "file":
            return False
        tree = self._trees[root.origin]
        if tree.download and op.unpack != "always":
            return False
        # Only ADD of a file gets here; no COPY pays for it.
        from buildkit.ops.archive import is_archive, unpack_into

        fd = self._open(tree, root)
        try:
            if not is_archive(fd):
                return False
            self.files += unpack_into(
                self._target,
                self._resolved,
                fd,
                Digest.parse(f"sha256:{entry.content}"),
                name=f"{tree.label}: {root.path!r}",
                owner=self._owner,
                scratch=f"{self._upper}.unpacked{root.number}.{self.files}",
                check=check,
            )
        except ImageError as error:
            os.lseek(fd, 0, os.SEEK_SET)
            if hashed(fd) != entry.content:
                raise tree.moved(root.path) from error
            named = "" if repr(root.path) in error.message else f"{root.path!r} is damaged: "
            raise StepError(
                f"{named}{error.message}",
                hint=error.hint or "ADD --unpack=false copies it as it is",
            ) from error
        finally:
            os.close(fd)
        return True

    def _open(self, tree: Tree, root: Root) -> int:
        above, name = _split(root.path)
        try:
            return open_file(name, self._sources[root.origin].go(above))
        except OSError as error:
            raise tree.moved(root.path) from error

    def _copy_file_root(self, root: Root, entry: Entry) -> None:
        path = self._resolved
        if self._dest.endswith("/") or self._target.is_directory(path):
            path = join(path, root.name)
        elif len(self._selection.roots) > 1:
            raise StepError(_SEVERAL, hint=f"write {self._op.dest}/")
        if root.origin == INLINE:
            self._copy_inline(root, entry, path)
        else:
            self._copy_entry(root, entry, path)

    def _copy_inline(self, root: Root, entry: Entry, path: str) -> None:
        source = self._op.sources[root.number]
        assert isinstance(source, InlineFile)
        data = inline_bytes(source)
        fd = self._create(path)
        try:
            write_all(fd, data)
            set_attributes(fd, self._attributes(entry, None))
        finally:
            os.close(fd)
        self.files += 1
        self.size += len(data)

    def _copy_entry(self, root: Root, entry: Entry, path: str) -> None:
        """Copy one entry to `path`.

        Mode, owner and attributes are written as they were selected; kind and content are held
        against what is there now.
        """
        tree = self._trees[root.origin]
        source = join(root.path, entry.path)
        above, _, name = source.rpartition("/")
        try:
            here = self._sources[root.origin].go(above)
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
            if not _KINDS[entry.kind](found.st_mode):
                raise tree.moved(source)
            content = os.readlink(name, dir_fd=here) if entry.kind == "link" else entry.content
        except OSError as error:
            raise tree.moved(source) from error
        if content != entry.content:
            raise tree.moved(source)
        match entry.kind:
            case "dir":
                self._target.directory(path)
                self._target.dress(path, self._attributes(entry, found))
            case "file":
                self._copy_file(tree, entry, source, path, (here, found))
            case "link":
                fd = self._target.vacate(*_split(path))
                os.symlink(content, _split(path)[1], dir_fd=fd)
                self._dress_by_name(path, fd, entry, found)
            case _:
                fd = self._target.vacate(*_split(path))
                mode = stat.S_IFMT(found.st_mode) | 0o600
                try:
                    os.mknod(_split(path)[1], mode, found.st_rdev, dir_fd=fd)
                except PermissionError:
                    # In a user namespace nobody may make devices; unpacking leaves them out, too.
                    return
                self._dress_by_name(path, fd, entry, found)
        self.files += 1

    def _attributes(self, entry: Entry, found: os.stat_result | None) -> Attributes:
        mode = entry.mode
        if self._chmod is not None:
            mode = self._chmod.apply(mode, directory=entry.kind == "dir")
        times = (found.st_mtime_ns, found.st_mtime_ns) if found is not None else None
        owner = self._owner or Owner(entry.uid, entry.gid)
        return Attributes(mode, owner, times, entry.xattrs)

    def _copy_file(
        self, tree: Tree, entry: Entry, source: str, path: str, seen: tuple[int, os.stat_result]
    ) -> None:
        """Copy the file `source`; `seen` is an open directory and what it has by that name."""
        here, found = seen
        if entry.same and entry.same in self._linked:
            self._link_again(self._linked[entry.same], path)
            return
        if not self._linked_from_earlier(entry, found, path):
            try:
                fd = open_file(_split(source)[1], here)
            except OSError as error:
                raise tree.moved(source) from error
            try:
                if not self._write(entry, path, fd):
                    raise tree.moved(source)
            finally:
                os.close(fd)
        if entry.same:
            self._linked[entry.same] = path

    def _linked_from_earlier(self, entry: Entry, found: os.stat_result, path: str) -> bool:
        """Link `path` to the same file of an earlier layer, if there is one and it can be."""
        # Names of one file stay one file, and no more names come to it.
        if self._link_from is None or entry.same:
            return False
        if self._target.hides(path):
            # What equals the file below is no change, and is seen to be none by having one name.
            return False
        earlier = self._link_from(path, entry, self._attributes(entry, found))
        if earlier is None or earlier.inode in self._taken:
            # What were names of one file are files of their own now.
            return False
        try:
            self._link(earlier.directory, earlier.name, path)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return False
        self._taken.add(earlier.inode)
        self.size += found.st_size
        return True

    def _write(self, entry: Entry, path: str, fd: int) -> bool:
        """Write the open file `fd` as `path`; say whether it held what was selected."""
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return False
        made = self._create(path)
        try:
            if self._transfer.copy(fd, made, found) != entry.content:
                return False
            set_attributes(made, self._attributes(entry, found))
        finally:
            os.close(made)
        self.size += found.st_size
        return True

    def _dress_by_name(self, path: str, fd: int, entry: Entry, found: os.stat_result) -> None:
        """Set the attributes of a link or device, which cannot be opened."""
        name = _split(path)[1]
        attributes = self._attributes(entry, found)
        owners.give(owners.at(fd, name), *attributes.owner)
        if entry.kind != "link":
            # Made by us just now in a directory that nobody else reaches: it is no link.
            os.chmod(name, attributes.mode, dir_fd=fd)
        if entry.xattrs:
            set_xattrs(f"/proc/self/fd/{fd}/{name}", entry.xattrs)
        times = (found.st_mtime_ns, found.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=fd, follow_symlinks=False)

    def _create(self, path: str) -> int:
        """Return a descriptor of a new empty file `path`."""
        above, name = _split(path)
        fd = self._target.expect_file(above, name)
        try:
            return os.open(name, _NEW_FILE, 0o600, dir_fd=fd)
        except FileExistsError:
            return os.open(name, _NEW_FILE, 0o600, dir_fd=self._target.vacate(above, name))

    def _link_again(self, first: str, path: str) -> None:
        above, name = _split(first)
        fd = os.dup(self._target.directory(above))
        try:
            self._link(fd, name, path)
        finally:
            os.close(fd)

    def _link(self, directory: int, name: str, path: str) -> None:
        above, new = _split(path)
        fd = self._target.vacate(above, new)
        os.link(name, new, src_dir_fd=directory, dst_dir_fd=fd, follow_symlinks=False)


def _split(path: str) -> tuple[str, str]:
    """Return directory and name of a relative path."""
    above, _, name = path.rpartition("/")
    return above, name
