"""Cache mounts on their way: the directory of a mount as a tar, and back.

In: directories below the state root's `caches/`, named by their `about`; tars from a cache. Out:
the others. A directory is taken as it is while it is nobody's alone; a tar goes only into a
directory that is not there or empty, and by the rules for archives from elsewhere (guarantees S17
to S19). Sockets do not go along.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence

from buildkit.content.streams import Reader, Rejoined, Sink, VerifyingReader
from buildkit.errors import ImageError, StoreError
from buildkit.oci.digest import Digest
from buildkit.ops import cache_mounts
from buildkit.remotecache.document import SharedMount
from buildkit.snapshot.compression import CompressingSink, Compressor, DecompressingReader, detect
from buildkit.snapshot.layer import LayerWriter
from buildkit.snapshot.unpack import unpack_archive
from buildkit.state.root import StateRoot
from buildkit.tree.descent import opened
from buildkit.tree.walk import walk
from runtime import owners
from runtime.values import NamedTuple


class PackedMount(NamedTuple):
    """A mount as a blob: `path` is a file below the state root's `tmp/`."""

    mount: SharedMount
    path: str
    digest: Digest
    size: int


class BusyMountError(ImageError):
    """The directory is in use by a step that has it for itself, or changed while it was read."""


def find_mounts(root: StateRoot, wanted: Sequence[str]) -> Iterator[tuple[SharedMount, str]]:
    """Yield the mounts with one of the IDs `wanted`, and their directories."""
    caches = root.path("caches")
    for name in sorted(os.listdir(caches)):
        try:
            with open(f"{caches}/{name}/about", encoding="ascii") as file:
                identity, content, mode, uid, gid = json.load(file)
        except (OSError, ValueError, TypeError):
            continue
        if identity not in wanted or name != cache_mounts.named(identity, content, mode, uid, gid):
            continue  # also the further ones of private mounts, whose names have a number
        if not identity.isprintable():
            continue  # bytes that are no text, which JSON elsewhere may not hold
        root.use("cache", name)
        yield SharedMount(identity, content, mode, uid, gid, Digest.of(b"")), f"{caches}/{name}"


def pack_mount(
    root: StateRoot,
    mount: SharedMount,
    directory: str,
    how: Compressor,
    check: Callable[[], None],
) -> PackedMount | None:
    """Return the mount as a blob; None when there is nothing in it. Raises BusyMountError.

    `check` is called now and then; what it raises ends the work.
    """
    path = f"{root.tmp()}/mount"
    with _held(directory, fcntl.LOCK_SH), opened(f"{directory}/fs") as fd:
        if not os.listdir(fd):
            return None
        tar, blob = hashlib.sha256(), hashlib.sha256()
        with root.writing("tmp"), open(path, "xb") as file:

            def write(block: bytes) -> None:
                blob.update(block)
                file.write(block)

            compressing = CompressingSink(how, write)

            def both(block: bytes) -> None:
                check()
                tar.update(block)
                compressing(block)

            try:
                _write_tar(fd, both)
            except (FileNotFoundError, StoreError) as error:
                raise BusyMountError(f"cache mount {mount.id} changes while it is read") from error
            compressing.finish()
            size = file.tell()
    diff_id = Digest.parse(f"sha256:{tar.hexdigest()}")
    digest = Digest.parse(f"sha256:{blob.hexdigest()}")
    return PackedMount(mount._replace(diff_id=diff_id), path, digest, size)


def _write_tar(root_fd: int, sink: Sink) -> None:
    writer = LayerWriter(sink)
    for entry, fd in walk(root_fd):
        if entry.path and not stat.S_ISSOCK(entry.mode):
            writer.add(entry, fd)
    writer.finish()


def wants_content(root: StateRoot, mount: SharedMount) -> bool:
    """Say whether the directory of the mount is not there or empty."""
    name = _name(mount)
    root.use("cache", name)
    try:
        return not os.listdir(root.path("caches", name, "fs"))
    except FileNotFoundError:
        return True


def unpack_mount(root: StateRoot, mount: SharedMount, blob: Reader, what: str) -> bool:
    """Make the blob the content of the mount's directory; False when something else is by now.

    Raises ImageError for a blob that is not what it should be, BusyMountError, StoreError.
    """
    made = root.tmp()
    os.mkdir(f"{made}/fs", 0o700)
    head = b""
    while len(head) < 6 and (more := blob.read(1 << 16)):
        head += more
    tar = DecompressingReader(Rejoined(head, blob), detect(head), what)
    checked = VerifyingReader(tar, expected=mount.diff_id, what=what)
    with root.writing("caches"):
        with opened(f"{made}/fs") as fd:
            unpack_archive(checked, fd)
            while checked.read(1 << 16):
                pass
            owners.give(fd, mount.uid, mount.gid)
            os.fchmod(fd, mount.mode)
        with open(f"{made}/about", "x", encoding="ascii") as file:
            file.write(json.dumps(mount.name))
        target = root.path("caches", _name(mount))
        with contextlib.suppress(OSError):
            os.rename(made, target)
            return True
        with _held(target, fcntl.LOCK_EX), contextlib.suppress(OSError):
            # An empty directory gives way to another one; one that is not empty stays.
            os.rename(f"{made}/fs", f"{target}/fs")
            return True
    return False


def _name(mount: SharedMount) -> str:
    return cache_mounts.named(*mount.name)


@contextlib.contextmanager
def _held(directory: str, how: int) -> Iterator[None]:
    """Hold the lock that steps hold which have the mount for themselves."""
    with opened(directory) as fd:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyMountError("a step has the cache mount for itself") from None
        yield
