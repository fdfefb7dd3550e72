"""Copying between a container and the host, by the rules of docker cp.

In: a source and a target, each a root descriptor and a path in it. Out: files. Paths are resolved
by the kernel inside their root, so no link in a container leads out of it (S12). Files travel as a
tar, which is unpacked by the rules for hostile archives.

The rules: a directory is copied into a target that exists, else to the target's name; `SOURCE/.`
copies what is in it. A file goes into a target that is a directory, else to the target's name.
Source: the reference of docker cp, "Extended description".
"""

from __future__ import annotations

import os
import stat

from buildkit.content.streams import Reader, Sink
from buildkit.errors import UsageError
from buildkit.snapshot.layer import LayerWriter, Owned
from buildkit.snapshot.unpack import unpack_archive
from buildkit.tree.entry import Entry, entry_of, make, read_xattrs
from buildkit.tree.walk import GONE, walk
from runtime import owners, safepath
from runtime.values import NamedTuple

_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Place(NamedTuple):
    """A path below a root."""

    root: int
    path: str


def copy(
    source: Place,
    target: Place,
    scratch: str,
    *,
    follow: bool,
    owner: tuple[int, int] | None,
    owned: Owned | None = None,
) -> None:
    """Copy; `owner` is whose everything becomes, None keeps owners. Raises UsageError.

    `owned` gives the owner on the target for that on the source, after `owner`.
    """
    found = _found(source, follow=follow)
    is_directory = stat.S_ISDIR(found.st_mode)
    contents = is_directory and source.path.endswith("/.")
    directory, name = _destination(source, target, is_directory=is_directory, contents=contents)
    try:
        path = f"{scratch}/copy-{os.urandom(8).hex()}"
        with open(path, "xb+") as file:
            os.unlink(path)
            _write(source, name, file.write, follow=follow, owner=owner)
            file.seek(0)
            unpack_archive(file, directory, owned)
    finally:
        os.close(directory)


def archive(root: int, path: str, sink: Sink, *, follow: bool, owned: Owned | None = None) -> None:
    """Write a tar of what is at a path, under its own name; `owned`: see `LayerWriter`."""
    source = Place(root, path)
    _found(source, follow=follow)
    _write(source, _name(path), sink, follow=follow, owner=None, owned=owned)


def unpack(target: Place, tar: Reader, owned: Owned | None = None) -> None:
    """Unpack a tar into a directory; `owned` gives the owner there for that in the tar."""
    directory = _open_directory(target)
    if directory is None:
        raise UsageError(f"{target.path} is no directory")
    try:
        unpack_archive(tar, directory, owned)
    finally:
        os.close(directory)


def _found(place: Place, *, follow: bool) -> os.stat_result:
    """Return what is at a path; of a link itself unless `follow`, or a slash is at the end."""
    flags = os.O_PATH
    if not follow and not place.path.endswith("/") and not place.path.endswith("/."):
        flags |= os.O_NOFOLLOW
    try:
        fd = safepath.open_beneath(place.root, place.path, flags)
    except OSError as error:
        raise UsageError(f"{place.path}: {(error.strerror or '').lower()}") from error
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _destination(
    source: Place, target: Place, *, is_directory: bool, contents: bool
) -> tuple[int, bytes]:
    """Return the directory to unpack into, and the name of the copy in it (empty: no name)."""
    directory = _open_directory(target)
    if directory is not None:
        return directory, b"" if contents else os.fsencode(_name(source.path))
    clean = target.path.rstrip("/")
    if not is_directory and target.path.endswith("/"):
        raise UsageError(f"there is no directory {target.path}")
    parent, _, name = clean.rpartition("/")
    above = Place(target.root, parent or "/")
    directory = _open_directory(above)
    if directory is None:
        raise UsageError(f"there is no directory {above.path}")
    try:
        existing = os.stat(name, dir_fd=directory)
    except OSError:
        return directory, os.fsencode(name)
    if is_directory and not stat.S_ISDIR(existing.st_mode):
        os.close(directory)
        raise UsageError(f"{target.path} is no directory, so none can be copied there")
    return directory, os.fsencode(name)


def _open_directory(place: Place) -> int | None:
    try:
        return safepath.open_beneath(place.root, place.path, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{place.path}: {(error.strerror or '').lower()}") from error


def _name(path: str) -> str:
    """Return the last name of a path."""
    return os.path.basename(os.path.normpath(path)).lstrip("/")


def _write(
    source: Place,
    name: bytes | str,
    sink: Sink,
    *,
    follow: bool,
    owner: tuple[int, int] | None,
    owned: Owned | None = None,
) -> None:
    """Write the tar of what is at a path, with `name` in place of its own."""
    writer = LayerWriter(sink, owned=owned, living=True)
    prefix = os.fsencode(name)
    found = _found(source, follow=follow)
    if stat.S_ISDIR(found.st_mode):
        fd = safepath.open_beneath(source.root, source.path, _DIRECTORY)
        try:
            for entry, entry_fd in walk(fd, gone=GONE):
                path = b"/".join(filter(None, (prefix, entry.path)))
                if path and not stat.S_ISSOCK(entry.mode):
                    writer.add(_owned(entry._replace(path=path), owner), entry_fd)
        finally:
            os.close(fd)
    elif stat.S_ISREG(found.st_mode):
        fd = safepath.open_beneath(source.root, source.path, _FILE)
        try:
            entry = make(prefix, owners.stat_of(fd), xattrs=read_xattrs(fd))
            writer.add(_owned(entry._replace(inode=None), owner), fd)
        finally:
            os.close(fd)
    else:
        _write_special(writer, source, prefix, owner)
    writer.finish()


def _write_special(
    writer: LayerWriter, source: Place, path: bytes, owner: tuple[int, int] | None
) -> None:
    """Write a link, device or pipe."""
    parent, _, name = source.path.rstrip("/").rpartition("/")
    fd = safepath.open_beneath(source.root, parent or "/", _DIRECTORY)
    try:
        found = owners.stat_at(name, fd)
        writer.add(_owned(entry_of(path, os.fsencode(name), fd, found), owner), -1)
    finally:
        os.close(fd)


def _owned(entry: Entry, owner: tuple[int, int] | None) -> Entry:
    return entry if owner is None else entry._replace(uid=owner[0], gid=owner[1])
