"""An image layout that is joined by a further image, as BuildKit and skopeo do it.

In: a directory that is a layout already. Out: its parts, new and old; an entry of the old index
stays unless a new one has its name, or is the same. Writers take turns by a lock on
`index.json.lock`, which is BuildKit's. Until the new index is there, the layout is what it was.
Source: image-spec image-layout.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from buildkit.exporter.destination import OutputError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.fields import DocumentError
from buildkit.oci.index import REF_NAME, Index
from buildkit.state.removal import remove_tree

_NAMES = ("io.containerd.image.name", REF_NAME)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOBS = "blobs/sha256"


def is_layout(dest: str) -> bool:
    """Say whether `dest` is a directory that holds an image layout."""
    return all(os.path.isfile(os.path.join(dest, name)) for name in ("oci-layout", "index.json"))


@contextlib.contextmanager
def joined(dest: str) -> Iterator[str]:
    """Give a directory for a layout that becomes part of the one at `dest` at the end.

    Raises OSError, and OutputError for a layout that is damaged: before the block, if it is then.
    """
    _existing(dest)
    # Inside, so that what is renamed stays on one file system.
    temporary = os.path.join(dest, f".new.{os.urandom(6).hex()}")
    try:
        os.mkdir(temporary)
        yield temporary
        with _locked(os.path.join(dest, "index.json.lock")):
            _join(temporary, dest)
    finally:
        with contextlib.suppress(OSError):
            remove_tree(temporary)


def _join(temporary: str, dest: str) -> None:
    index = os.path.join(temporary, "index.json")
    merged = merge(_existing(dest), _index(index))
    os.makedirs(os.path.join(dest, _BLOBS), exist_ok=True)
    for name in os.listdir(os.path.join(temporary, _BLOBS)):
        os.rename(os.path.join(temporary, _BLOBS, name), os.path.join(dest, _BLOBS, name))
    with open(index, "wb") as file:
        file.write(merged.encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(index, os.path.join(dest, "index.json"))


def merge(old: Index, new: Index) -> Index:
    """Return `old` with the entries of `new`, which take the place of those with their names."""
    names = {name for entry in new.manifests if (name := _name(entry)) is not None}
    digests = {entry.digest for entry in new.manifests}
    kept = [
        entry
        for entry in old.manifests
        if (_name(entry) not in names if _name(entry) else entry.digest not in digests)
    ]
    return old._replace(manifests=(*kept, *new.manifests))


def _name(entry: Descriptor) -> tuple[str, ...] | None:
    said = dict(entry.annotations)
    found = tuple(said.get(key, "") for key in _NAMES)
    return found if any(found) else None


def _existing(dest: str) -> Index:
    """Return the index of a layout. The image that is to join it is fine, whatever this one is."""
    try:
        return _index(os.path.join(dest, "index.json"))
    except DocumentError as error:
        raise OutputError(
            f"{dest} is a damaged image layout: {error.message}", hint="name another directory"
        ) from error


def _index(path: str) -> Index:
    with open(os.open(path, _READ), "rb") as file:
        return Index.parse(file.read(), path)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    fd = os.open(path, _LOCK, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
