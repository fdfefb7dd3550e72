"""Where a COPY writes: an overlay's upper directory, with the parent's merged tree in view.

In: the upper directory and (unless scratch or --link) a descriptor of the parent's tree. Out:
directories of the upper to write into, each made the way overlayfs itself would copy it up, and the
final attributes of them all at the end. No overlay is mounted.

Paths are canonical (links were followed by `resolve`), relative, empty for the root. Nothing here
goes through a link: both trees are walked by descriptors with O_NOFOLLOW (S13).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

from buildkit.context.descent import Descent
from buildkit.context.paths import join, within
from buildkit.context.rows import Xattrs
from buildkit.errors import StepError, StoreError, disk_error
from buildkit.ops.chown import Owner
from buildkit.snapshot.marks import make_opaque
from buildkit.state.removal import remove_tree
from buildkit.tree.entry import read_xattrs
from runtime import owners, safepath
from runtime.values import NamedTuple


class Attributes(NamedTuple):
    """What a file or directory gets. `times`: access and change in ns, None to leave them."""

    mode: int
    owner: Owner
    times: tuple[int, int] | None
    xattrs: Xattrs


class Target:
    """One upper directory being written. `close` it; call `finish` before, if all went well.

    `owner` and `mode` are those of directories that have to be made on the way.
    """

    def __init__(self, upper: str, parent: int | None, *, owner: Owner, mode: int) -> None:
        self._root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._upper = Descent(self._root)
        self._parent = Descent(parent) if parent is not None else None
        self._parent_fd = parent
        self._made = Attributes(mode, owner, None, ())
        # What is set on the root already stays; only its time has to be set again.
        self._final = {"": _kept(owners.stat_of(self._root), ())}
        self._shared = {"": parent is not None}
        self._hidden: set[str] = set()

    def close(self) -> None:
        """Close what is open."""
        self._upper.close()
        if self._parent is not None:
            self._parent.close()
        os.close(self._root)

    def resolve(self, path: str) -> str:
        """Return `path` with all links in it followed inside the parent's tree."""
        if self._parent_fd is None:
            return within(path)
        try:
            return within(safepath.resolve(self._parent_fd, path))
        except OSError as error:
            raise StepError(f"cannot copy to {path}: {error.strerror}") from error

    def is_directory(self, path: str) -> bool:
        """Say whether `path` is a directory by now."""
        if path in self._final:
            return True
        above, _, name = path.rpartition("/")
        if above not in self._final:
            return self._is_parents_directory(path)
        found = _lstat(name, self._upper.go(above)) or self._in_parent(above, name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def directory(self, path: str) -> int:
        """Return a descriptor of the directory `path` in the upper, made where it is missing.

        Good until the next call. Raises StepError when something else is in the way.
        """
        missing = []
        here = path
        while here not in self._final:
            missing.append(here)
            here = here.rpartition("/")[0]
        for here in reversed(missing):
            above, _, name = here.rpartition("/")
            self._make(above, name, here)
        return self._upper.go(path)

    def vacate(self, directory: str, name: str) -> int:
        """Make room for a file `name` in `directory`; return the directory's descriptor.

        A file or link of that name gives way, a directory does not: StepError.
        """
        fd = self.directory(directory)
        found = _lstat(name, fd)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=fd)
        self._refuse_directory(directory, name, found)
        return fd

    def expect_file(self, directory: str, name: str) -> int:
        """Return the descriptor of `directory`, where a file `name` is about to be made.

        As `vacate`, but for names that nothing made here has taken yet, which spares a look.
        """
        fd = self.directory(directory)
        self._refuse_directory(directory, name, None)
        return fd

    def hides(self, path: str) -> bool:
        """Say whether a file made at `path` would be in the place of something of the parent's."""
        above, _, name = path.rpartition("/")
        self.directory(above)
        return self._in_parent(above, name) is not None

    def displace(self, path: str) -> int:
        """Make room at `path` for anything but a directory, whatever is there.

        Returns the descriptor of its directory.
        """
        above, _, name = path.rpartition("/")
        fd = self.directory(above)
        found = self._in_parent(above, name)
        if found is not None and stat.S_ISDIR(found.st_mode):
            self._hidden.add(path)
        if path in self._final:
            remove_tree(name, dir_fd=fd)
            self._upper.close()
            gone = [one for one in self._final if one == path or one.startswith(f"{path}/")]
            for one in gone:
                del self._final[one], self._shared[one]
            fd = self.directory(above)
        elif _lstat(name, fd) is not None:
            os.unlink(name, dir_fd=fd)
        return fd

    def directory_instead(self, path: str) -> None:
        """Make the directory `path`; a file or link that is there gives way."""
        if path in self._final:
            return
        above, _, name = path.rpartition("/")
        fd = self.directory(above)
        if _lstat(name, fd) is not None:
            os.unlink(name, dir_fd=fd)
        found = self._in_parent(above, name)
        if found is None or stat.S_ISDIR(found.st_mode):
            self._make(above, name, path)
            return
        os.mkdir(name, 0o700, dir_fd=self._upper.go(above))
        self._final[path] = self._made
        self._shared[path] = False

    def is_link(self, path: str) -> bool:
        """Say whether `path` is a symbolic link, of the parent or made here."""
        if path in self._final:
            return False
        above, _, name = path.rpartition("/")
        fd = self.directory(above)
        found = _lstat(name, fd)
        if found is not None and stat.S_ISLNK(found.st_mode):
            raise StepError(f"cannot copy to non-directory: /{path}")
        found = self._in_parent(above, name)
        return found is not None and stat.S_ISLNK(found.st_mode)

    def dress(self, path: str, attributes: Attributes) -> None:
        """Give the directory `path`, which was made, attributes; those of the parent's stay, too.

        All are set in the end: an access list for new files would be inherited by what is copied.
        """
        mode, owner, times, xattrs = attributes
        merged = {**dict(self._final[path].xattrs), **dict(xattrs)}
        self._final[path] = Attributes(mode, owner, times, tuple(merged.items()))

    def finish(self) -> None:
        """Set the attributes of all directories, now that nothing is written into them any more."""
        for path in sorted(self._final):
            set_attributes(self._upper.go(path), self._final[path])

    def _make(self, above: str, name: str, path: str) -> None:
        """Make the directory `path` in the upper, as the parent has it if it does."""
        found = self._in_parent(above, name)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise StepError(f"cannot copy to non-directory: /{path}")
        fd = self._upper.go(above)
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except FileExistsError:
            raise StepError(f"cannot copy to non-directory: /{path}") from None
        self._shared[path] = found is not None
        if found is None:
            self._final[path] = self._made
            if path in self._hidden:
                make_opaque(self._upper.go(path))
            return
        assert self._parent is not None
        self._final[path] = _kept(found, read_xattrs(self._parent.go(path)))

    def _refuse_directory(self, directory: str, name: str, found: os.stat_result | None) -> None:
        found = found or self._in_parent(directory, name)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise StepError(f"cannot replace to directory /{join(directory, name)} with file")

    def _in_parent(self, directory: str, name: str) -> os.stat_result | None:
        """Return what the parent has as `name` in `directory`, which was made here."""
        if self._parent is None or not self._shared[directory]:
            return None
        if self._hidden and join(directory, name) in self._hidden:
            return None
        return _lstat(name, self._parent.go(directory))

    def _is_parents_directory(self, path: str) -> bool:
        if self._parent is None:
            return False
        try:
            self._parent.go(path)
        except OSError:
            return False
        return True


def _kept(found: os.stat_result, xattrs: Xattrs) -> Attributes:
    return Attributes(
        mode=stat.S_IMODE(found.st_mode),
        owner=Owner(found.st_uid, found.st_gid),
        times=(found.st_atime_ns, found.st_mtime_ns),
        xattrs=xattrs,
    )


def _lstat(name: str, directory: int) -> os.stat_result | None:
    try:
        return owners.stat_at(name, directory)
    except FileNotFoundError:
        return None


def failure(error: OSError, path: str, upper: str) -> StoreError:
    """Return what to say when `path` cannot be written; on the disk it is below `upper`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return disk_error(error, upper)
    outside = "an owner may lie outside of the ids in /etc/subuid and /etc/subgid"
    return StoreError(
        f"cannot write {path}: {(error.strerror or str(error)).lower()}",
        hint=outside if error.errno == errno.EINVAL else "",
    )


@contextlib.contextmanager
def failing(path: str, upper: str) -> Iterator[None]:
    """Turn OSError in the block into what `failure` says."""
    try:
        yield
    except OSError as error:
        raise failure(error, path, upper) from error


def can_own(directory: str, wanted: Iterable[Owner]) -> bool:
    """Say whether files in `directory`, which is private, can be given to all these."""
    path = f"{directory}/owned"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        for owner in wanted:
            owners.give(path, *owner)
    except OSError:
        return False
    finally:
        os.unlink(path)
    return True


def set_attributes(fd: int, attributes: Attributes) -> None:
    """Set the attributes of an open file, in the order in which the kernel keeps them all.

    A new owner takes away set-id bits and file capabilities; an access list sets the mode.
    """
    owners.give(fd, *attributes.owner)
    set_xattrs(fd, attributes.xattrs)
    os.fchmod(fd, attributes.mode)
    if attributes.times is not None:
        os.utime(fd, ns=attributes.times)


def set_xattrs(file: int | str, xattrs: Xattrs) -> None:
    """Set extended attributes; those that the file system does not take are left out."""
    for name, value in xattrs:
        try:
            os.setxattr(file, name, value, follow_symlinks=not isinstance(file, str))
        except OSError:
            continue
