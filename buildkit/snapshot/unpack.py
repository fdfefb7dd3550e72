"""A layer tar onto an empty directory, which becomes the upper directory of an overlay.

In: a reader of the tar, the directory's descriptor. Out: the tree, deletions as overlayfs keeps
them, and what must be known about it besides. The tar may be an enemy's: every entry is written
below the root by descriptor, no link is ever followed, hard links stay inside the layer, devices
that would read as deletions are refused (docs/security.md, S17, S18). Memory is bounded but
for one record a directory. Source: image-spec layer.md.
"""

from __future__ import annotations

import errno
import os
import stat

from buildkit.content.streams import CHUNK, Reader
from buildkit.errors import ImageError
from buildkit.snapshot.layer import OPAQUE, WHITEOUT, Owned
from buildkit.snapshot.marks import is_whiteout_at, make_opaque, make_whiteout
from buildkit.snapshot.places import Places
from buildkit.snapshot.tarreader import Member, TarReader
from buildkit.state.removal import remove_tree
from buildkit.tree.entry import below, text
from runtime import owners
from runtime.values import NamedTuple

_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AUFS = WHITEOUT + WHITEOUT
_DEFAULT_ACL = "system.posix_acl_default"
_ZEROS = bytes(CHUNK)
_HOLE = 64 << 10

_ARCHIVES_FAULT = (
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EMLINK,
    errno.ENOENT,
    errno.EOVERFLOW,
)
_CANNOT = (errno.EPERM, errno.ENOTSUP)


class Unpacked(NamedTuple):
    """What there is to know about an unpacked layer besides its tree.

    `has_root`: the root's attributes are part of it. `hides`: nothing below the layer shows.
    `deletes`: directories with whiteouts in them. `implied`: directories that had no entry of
    their own; their attributes are nobody's decision.
    """

    files: int
    has_root: bool
    hides: bool
    deletes: tuple[bytes, ...]
    implied: tuple[bytes, ...]


def unpack_layer(layer: Reader, root_fd: int) -> Unpacked:
    """Unpack the whole of `layer` into the empty directory `root_fd`, reading it to its end.

    Raises ImageError for what is damaged or hostile, OSError for the disk.
    """
    return _Unpacking(root_fd, whiteouts=True).run(TarReader(layer))


def unpack_archive(archive: Reader, root_fd: int, owned: Owned | None = None) -> Unpacked:
    """Unpack a tar that is no layer: `.wh.` means nothing in its names.

    `owned` gives user and group of a file for those in the tar.
    """
    return _Unpacking(root_fd, whiteouts=False, owned=owned).run(TarReader(archive))


class _Late(NamedTuple):
    """What a directory gets once everything is in it."""

    mtime_ns: int
    default_acl: bytes | None


class _Unpacking:
    """One run."""

    def __init__(self, root_fd: int, *, whiteouts: bool, owned: Owned | None = None) -> None:
        self._root = root_fd
        self._owned = owned
        self._whiteouts = whiteouts
        self._places = Places(root_fd)
        self._late: dict[bytes, _Late] = {}
        self._hides = False
        self._deletes: set[bytes] = set()

    def run(self, tar: TarReader) -> Unpacked:
        files = 0
        try:
            while (member := tar.next()) is not None:
                files += 1
                if self._owned is not None:
                    uid, gid = self._owned(member.uid, member.gid)
                    member = member._replace(uid=uid, gid=gid)
                try:
                    self._entry(member, tar)
                except OSError as error:
                    if error.errno not in _ARCHIVES_FAULT:
                        raise
                    raise ImageError(
                        f"the archive's {text(member.path)[:200]!r} cannot be unpacked: "
                        f"{(error.strerror or '').lower()}"
                    ) from error
            tar.drain()
            self._finish_directories()
        finally:
            self._places.forget()
        return Unpacked(
            files=files,
            has_root=b"" in self._late,
            hides=self._hides,
            deletes=tuple(sorted(self._deletes)),
            implied=tuple(sorted(set(self._places.made).difference(self._late))),
        )

    def _entry(self, member: Member, tar: TarReader) -> None:
        path = member.path
        if self._whiteouts and WHITEOUT in path and self._whiteout(member):
            return
        if member.link is not None:
            self._link(member, member.link)
        elif stat.S_ISDIR(member.mode):
            self._directory(member)
        elif not path:
            raise ImageError("the root of the archive is not a directory")
        elif stat.S_ISREG(member.mode):
            self._file(member, tar)
        else:
            self._special(member)

    def _whiteout(self, member: Member) -> bool:
        """Carry out a deletion, if the member is one."""
        directory, slash, name = member.path.rpartition(b"/")
        if any(part.startswith(WHITEOUT) for part in directory.split(b"/")):
            raise ImageError(f"{text(member.path)[:200]!r} is inside of a deletion")
        if not name.startswith(WHITEOUT):
            return False
        if name == OPAQUE:
            self._opaque(directory)
        elif not name.startswith(_AUFS):  # the rest are AUFS's own records
            gone = name[len(WHITEOUT) :]
            if gone in (b"", b".", b".."):
                raise ImageError(f"{text(member.path)[:200]!r} deletes nothing that can be named")
            self._delete(directory + slash + gone)
        return True

    def _opaque(self, directory: bytes) -> None:
        if not directory:
            self._hides = True
            return
        fd, _ = self._places.parent(directory + b"/.")
        make_opaque(fd)

    def _delete(self, path: bytes) -> None:
        """Hide `path` of the layers below. What this layer has there itself stays."""
        fd, name = self._places.parent(path)
        try:
            make_whiteout(fd, name, self._root)
            self._deletes.add(path.rpartition(b"/")[0])
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                return
            inner = os.open(name, _DIRECTORY, dir_fd=fd)
            try:
                make_opaque(inner)
            finally:
                os.close(inner)

    def _directory(self, member: Member) -> None:
        path = member.path
        if not path:
            self._set(self._root, member)
            return
        fd, name = self._places.parent(path)
        hides = False
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except FileExistsError:
            there = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                hides = self._whiteouts and is_whiteout_at(there, fd, name)
                os.unlink(name, dir_fd=fd)
                os.mkdir(name, 0o700, dir_fd=fd)
        inner = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            if hides:
                make_opaque(inner)
            self._set(inner, member)
        finally:
            os.close(inner)

    def _file(self, member: Member, tar: TarReader) -> None:
        fd, name = self._places.parent(member.path)
        try:
            file = os.open(name, _FILE, 0o600, dir_fd=fd)
        except FileExistsError:
            self._clear(fd, name)
            fd, name = self._places.parent(member.path)
            file = os.open(name, _FILE, 0o600, dir_fd=fd)
        try:
            if member.size:
                _write(file, member.size, tar)
            self._set(file, member)
            os.utime(file, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(file)

    def _link(self, member: Member, target: bytes) -> None:
        if target == member.path or not member.path:
            raise ImageError(f"{text(member.path)[:200]!r} is a hard link to itself")
        found = self._places.find(target)
        if found is None:
            raise _no_target(member, target)
        source, source_name = found
        try:
            try:
                there = os.stat(source_name or b".", dir_fd=source, follow_symlinks=False)
            except FileNotFoundError:
                raise _no_target(member, target) from None
            if stat.S_ISDIR(there.st_mode) or is_whiteout_at(there, source, source_name):
                raise _no_target(member, target)
            fd, name = self._places.parent(member.path)
            self._clear(fd, name)
            fd, name = self._places.parent(member.path)
            if stat.S_ISLNK(there.st_mode):
                # A second link with the same text: nothing is linked to or through a symlink.
                os.symlink(os.readlink(source_name, dir_fd=source), name, dir_fd=fd)
                self._set_by_name(fd, name, member._replace(mode=there.st_mode))
                return
            os.link(source_name, name, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(source)

    def _special(self, member: Member) -> None:
        fd, name = self._places.parent(member.path)
        kind = stat.S_IFMT(member.mode)
        if kind == stat.S_IFCHR and member.device == (0, 0):
            raise ImageError(
                f"{text(member.path)[:200]!r} is a 0:0 character device, which means a deletion"
            )
        self._clear(fd, name)
        fd, name = self._places.parent(member.path)
        if kind == stat.S_IFLNK:
            os.symlink(member.target, name, dir_fd=fd)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, 0o600, dir_fd=fd)
        else:
            try:
                os.mknod(name, kind | 0o600, os.makedev(*member.device), dir_fd=fd)
            except PermissionError:
                # In a user namespace nobody may make devices; the peers leave them out too, and
                # a container gets its own /dev.
                return
        self._set_by_name(fd, name, member)

    def _clear(self, fd: int, name: bytes) -> None:
        """Remove what an earlier entry left where the next one goes."""
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            remove_tree(name, dir_fd=fd)
            self._places.forget()

    def _set(self, fd: int, member: Member) -> None:
        """Give a file or directory its attributes, but for a directory's time."""
        _own(fd, member)
        os.fchmod(fd, stat.S_IMODE(member.mode))
        default_acl = None
        for name, value in member.xattrs:
            if name == _DEFAULT_ACL:
                default_acl = value  # what is made in the directory would inherit it
            else:
                _set_xattr(fd, name, value)
        if stat.S_ISDIR(member.mode):
            self._late[member.path] = _Late(member.mtime_ns, default_acl)

    def _set_by_name(self, fd: int, name: bytes, member: Member) -> None:
        _own(below(fd, name), member)
        if not stat.S_ISLNK(member.mode):
            os.chmod(name, stat.S_IMODE(member.mode), dir_fd=fd)
        for key, value in member.xattrs:
            if not owners.is_record(key, member.mode):
                _set_xattr(below(fd, name), key, value)
        times = (member.mtime_ns, member.mtime_ns)
        os.utime(name, ns=times, dir_fd=fd, follow_symlinks=False)

    def _finish_directories(self) -> None:
        for path in sorted(self._late):
            late = self._late[path]
            found = self._places.find(path + b"/." if path else b".")
            if found is None:
                continue  # a later entry took its place
            fd, _ = found
            try:
                if late.default_acl is not None:
                    _set_xattr(fd, _DEFAULT_ACL, late.default_acl)
                os.utime(fd, ns=(late.mtime_ns, late.mtime_ns))
            finally:
                os.close(fd)


def _own(file: int | bytes, member: Member) -> None:
    try:
        owners.give(file, member.uid, member.gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ImageError(
            f"{text(member.path)[:200]!r} belongs to {member.uid}:{member.gid}, which this user "
            "namespace does not have",
            hint="give the user more subordinate ids in /etc/subuid and /etc/subgid",
        ) from None


def _no_target(member: Member, target: bytes) -> ImageError:
    return ImageError(
        f"{text(member.path)[:200]!r} is a hard link to {text(target)[:200]!r}, which is no file "
        "of the same archive"
    )


def _write(fd: int, size: int, tar: TarReader) -> None:
    """Write the member's content; long runs of zeros become holes."""
    hole = False
    left = size
    while left:
        data = tar.read(min(left, CHUNK))
        left -= len(data)
        if len(data) >= _HOLE and data == (_ZEROS if len(data) == CHUNK else bytes(len(data))):
            os.lseek(fd, len(data), os.SEEK_CUR)
            hole = True
            continue
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    if hole:
        os.ftruncate(fd, size)


def _set_xattr(file: int | bytes, name: str, value: bytes) -> None:
    try:
        if isinstance(file, int):
            os.setxattr(file, name, value)
        else:
            os.setxattr(file, name, value, follow_symlinks=False)
    except OSError as error:
        # Not on this file system, or not on this type of file, as with the peers.
        if error.errno not in _CANNOT:
            raise
