"""An upper directory becomes a layer tar, in one pass: settled, fingerprinted, hashed.

In: descriptors of the upper and of the tree below it. Out: the diff ID, the fingerprint and the
listing, with the upper settled (`diff.py`). Each file is read once. And the proof that an upper
is an earlier layer but for its times (decision 1 of the architecture: early cutoff).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from buildkit.errors import StoreError
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.snapshot.diff import Deleted, Found, Present, Settling
from buildkit.snapshot.hashing import HashingSink
from buildkit.snapshot.layer import LayerWriter, Meant, pack_directory
from buildkit.snapshot.listing import change_of
from buildkit.snapshot.snapshot import Change
from buildkit.snapshot.watch import Watch
from buildkit.tree.entry import make, read_xattrs
from buildkit.tree.fingerprint import Fingerprinter
from runtime import owners
from runtime.values import NamedTuple


class Packed(NamedTuple):
    """What an upper directory came to; `size` of the tar in bytes, `files` in number."""

    diff_id: Digest
    size: int
    files: int
    fingerprint: Fingerprint
    changes: tuple[Change, ...]


def pack_upper(
    upper_fd: int,
    lower_fd: int | None,
    *,
    seed: int,
    clamp: int | None,
    with_root: bool,
    watch: Watch | None = None,
) -> Packed:
    """Settle the upper directory and return what its layer is.

    `seed` of the fingerprint; `clamp`: no time later than that, in seconds; `with_root`: the
    root's own attributes are a change; `watch` sees what goes in, and may raise.
    """
    fingerprinter = Fingerprinter(seed)
    changes: list[Change] = []
    with HashingSink() as hashing:
        writer = LayerWriter(hashing, _tap(fingerprinter, watch))
        if with_root:
            root = _root(upper_fd, clamp)
            _add(root, writer, fingerprinter, watch)
            changes.append(change_of(root))
        for found in Settling(upper_fd, lower_fd, clamp):
            _add(found, writer, fingerprinter, watch)
            changes.append(change_of(found))
        writer.finish()
        return Packed(
            diff_id=hashing.digest(),
            size=hashing.size,
            files=writer.files,
            fingerprint=fingerprinter.result(),
            changes=tuple(changes),
        )


def is_layer(
    upper_fd: int,
    times: Iterable[tuple[bytes, int]],
    earlier: Digest,
    meant: Meant | None,
    *,
    with_root: bool,
) -> bool:
    """Say whether a settled upper, with the `times` of the layer `earlier`, is that layer.

    `times` by path, in ns, the root's first. The fingerprints have been found equal; here sha256
    decides, and times that are `meant`.
    """
    with HashingSink() as hashing:
        try:
            pack_directory(upper_fd, hashing, with_root=with_root, times=times, meant=meant)
        except StoreError:
            # Other names: the fingerprints were equal by accident. Or times that count.
            return False
        return hashing.digest() == earlier


def _root(fd: int, clamp: int | None) -> Present:
    found = owners.stat_of(fd)
    if clamp is not None and found.st_mtime_ns > clamp * 1_000_000_000:
        os.utime(fd, (clamp, clamp))
        found = owners.stat_of(fd)
    return Present(make(b"", found, xattrs=read_xattrs(fd)), fd, is_new=False)


def _tap(fingerprinter: Fingerprinter, watch: Watch | None) -> Callable[[bytes], object]:
    """Return what takes the content of files."""
    if watch is None:
        return fingerprinter.update

    def both(data: bytes) -> None:
        watch.content(data)
        fingerprinter.update(data)

    return both


def _add(
    found: Found, writer: LayerWriter, fingerprinter: Fingerprinter, watch: Watch | None
) -> None:
    """Give one change to the tar and to the fingerprint."""
    if isinstance(found, Present):
        entry = found.entry
        if watch is not None:
            watch.entry(entry)
        fingerprinter.add(b"+", entry, writer.link_of(entry) or b"")
        writer.add(entry, found.fd)
    elif isinstance(found, Deleted):
        fingerprinter.mark(b"-", found.path)
        writer.whiteout(found.path)
    else:
        fingerprinter.mark(b"o", found.path)
        writer.opaque(found.path)
