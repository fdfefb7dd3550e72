"""A file system to be: what shall lie where, as values, and the one function that lays it down.

In: entries by path. Out: the same tree below a directory, owned by root, whoever made it.
Paths are those of the image, without the leading slash; times are whole seconds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TypeAlias, assert_never

from buildkit.oci.digest import Digest
from runtime.values import NamedTuple


class Directory(NamedTuple):
    """A directory with `mode`."""

    mode: int = 0o755


class File(NamedTuple):
    """A copy of the file at `source` on this machine; keeps its time."""

    source: str
    mode: int


class Text(NamedTuple):
    """A file with `content`."""

    content: str
    mode: int = 0o644


class Link(NamedTuple):
    """A symbolic link to `target`, which may be absolute (inside the image)."""

    target: str


Entry: TypeAlias = Directory | File | Text | Link
Tree: TypeAlias = Mapping[str, Entry]


class Laid(NamedTuple):
    """What came of laying a tree down: the digest of each copied file, and the newest time."""

    digests: Mapping[str, Digest]
    newest: int


def lay(tree: Tree, directory: str, *, clamp: int | None) -> Laid:
    """Make `tree` below `directory`, which is empty; no time is later than `clamp` if given.

    Directories, links and texts get the time of the newest copied file, so that equal inputs
    give equal trees. Raises OSError, with the path on this machine.
    """
    digests: dict[str, Digest] = {}
    newest = 0
    for path in sorted(tree):
        place = os.path.join(directory, path)
        match tree[path]:
            case Directory(mode=mode):
                os.mkdir(place)
                os.chmod(place, mode)
            case File(source=source, mode=mode):
                digests[path], time = _copy(source, place, mode, clamp)
                newest = max(newest, time)
            case Text(content=content, mode=mode):
                _write(place, content.encode(), mode)
            case Link(target=target):
                os.symlink(target, place)
            case unknown:
                assert_never(unknown)
    if not digests:
        newest = clamp or 0
    for path in sorted(tree, reverse=True):
        if not isinstance(tree[path], File):
            place = os.path.join(directory, path)
            os.utime(place, (newest, newest), follow_symlinks=False)
    os.chmod(directory, 0o755)  # noqa: S103 - the root of a file system is open to all users
    os.utime(directory, (newest, newest))
    return Laid(digests, newest)


def _copy(source: str, place: str, mode: int, clamp: int | None) -> tuple[Digest, int]:
    """Copy one file and return its digest, of the very bytes that were written, and its time."""
    sha256 = hashlib.sha256()
    with open(source, "rb") as origin, open(place, "xb") as copy:
        while block := origin.read(1 << 20):
            sha256.update(block)
            copy.write(block)
        time = int(os.fstat(origin.fileno()).st_mtime)
        os.fchmod(copy.fileno(), mode)
    time = min(time, clamp) if clamp is not None else time
    os.utime(place, (time, time))
    return Digest(f"sha256:{sha256.hexdigest()}"), time


def _write(place: str, content: bytes, mode: int) -> None:
    with open(place, "xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
