"""Are the trees of layers what the layers' tars say?

In: a layer's directory. Out: a sentence about what is wrong, or none. A layer that was packed here
is packed again; one that came as a tar is unpacked again beside it and compared.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import zip_longest

from buildkit.content.streams import Reader
from buildkit.errors import BuildError
from buildkit.oci.digest import Digest
from buildkit.snapshot.compression import DecompressingReader, detect
from buildkit.snapshot.foreign import unpack_foreign
from buildkit.snapshot.hashing import HashingSink
from buildkit.snapshot.layer import pack_directory
from buildkit.snapshot.layers import is_in_pieces
from buildkit.snapshot.marks import is_opaque, seen_in
from buildkit.snapshot.pieces import pack_pieces
from buildkit.tree.entry import Entry, text
from buildkit.tree.walk import walk

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def digest_of_layer(directory: str) -> tuple[Digest, int]:
    """Return digest and size of the tar of the layer in `directory`, made here."""
    if not is_in_pieces(directory):
        return digest_of_tree(directory)
    with HashingSink() as hashing:
        pack_pieces(directory, hashing)
        return hashing.digest(), hashing.size


def digest_of_tree(directory: str) -> tuple[Digest, int]:
    """Return digest and size of the tar that the tree of the layer in `directory` packs to."""
    fd = os.open(f"{directory}/fs", _DIRECTORY)
    try:
        with HashingSink() as hashing:
            with_root = os.path.exists(f"{directory}/root")
            pack_directory(fd, hashing, with_root=with_root)
            return hashing.digest(), hashing.size
    finally:
        os.close(fd)


class BlobTar:
    """A reader of the tar in the blob at `path`, however it is compressed. Close at the end."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        head = os.pread(self._fd, 8, 0)
        self._reader: Reader = DecompressingReader(_File(self._fd), detect(head), path)

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        return self._reader.read(size)

    def __enter__(self) -> BlobTar:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        return os.read(self._fd, size)


def tar_digest(path: str) -> tuple[Digest, int] | None:
    """Return digest and size of the uncompressed blob at `path`, None when it is damaged."""
    with BlobTar(path) as tar, HashingSink() as hashing:
        try:
            while data := tar.read(_CHUNK):
                hashing(data)
        except BuildError:
            return None
        return hashing.digest(), hashing.size


def compare_with_blob(directory: str, blob: str, scratch: str) -> str:
    """Return how the layer in `directory` differs from its tar in `blob`; empty if it does not.

    The tar is unpacked into `scratch`, which the caller removes.
    """
    with BlobTar(blob) as tar:
        unpack_foreign(tar, scratch)
    for sign in ("root", "hides", "deletes", "implied"):
        if os.path.exists(f"{directory}/{sign}") != os.path.exists(f"{scratch}/{sign}"):
            return f"the sign {sign!r} is wrong"
    one = os.open(f"{directory}/fs", _DIRECTORY)
    other = os.open(f"{scratch}/fs", _DIRECTORY)
    try:
        return _difference(one, other)
    finally:
        os.close(one)
        os.close(other)


def _layer(fd: int) -> Iterator[tuple[Entry, int]]:
    return walk(fd, seen=seen_in(fd))


def _difference(one: int, other: int) -> str:
    for mine, theirs in zip_longest(_layer(one), _layer(other)):
        if mine is None or theirs is None or mine[0].path != theirs[0].path:
            here, there = (text(pair[0].path) if pair else "the end" for pair in (mine, theirs))
            return f"{here!r} is where {there!r} should be"
        if _comparable(mine[0]) != _comparable(theirs[0]):
            return f"{text(mine[0].path)!r} has other attributes"
        if not _same_content(mine, theirs):
            return f"{text(mine[0].path)!r} has other content"
    return ""


def _comparable(entry: Entry) -> Entry:
    # The number of an inode is of no interest, nor are times of implied directories and whiteouts.
    timeless = stat.S_ISDIR(entry.mode) or (stat.S_ISCHR(entry.mode) and entry.rdev == 0)
    mtime = 0 if timeless else entry.mtime_ns
    return entry._replace(inode=None, mtime_ns=mtime)


def _same_content(mine: tuple[Entry, int], theirs: tuple[Entry, int]) -> bool:
    if stat.S_ISDIR(mine[0].mode):
        return is_opaque(mine[1]) == is_opaque(theirs[1])
    if not stat.S_ISREG(mine[0].mode):
        return True
    while data := os.read(mine[1], _CHUNK):
        if data != os.read(theirs[1], len(data)):
            return False
    return not os.read(theirs[1], 1)
