"""Fingerprints: xxh3-128 of trees, to find candidates fast; they never decide alone.

In: entries and content. Out: a `Fingerprint` that depends on names, types, modes, owners,
targets, devices, attributes, hard links and content, not on times. Seeded with a random number
of the store, so nobody can prepare collisions, and it means nothing elsewhere. It is the hash of
the hashes of the entries: those of entries that are known to be the same can be used again. The
only import of xxhash.
"""

from __future__ import annotations

import struct

import xxhash

from buildkit.oci.digest import Fingerprint
from buildkit.tree.entry import Entry

SIZE = 16
"""Bytes of the hash of one entry."""

_FIXED = struct.Struct("<cIIIIQQ")


class Checksum:
    """Of bytes that this store has written and reads again; to find damage, not to name them."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()
        self.update = self._hash.update
        """Takes the next bytes."""

    def result(self) -> bytes:
        """Return the checksum of all so far."""
        return self._hash.digest()


class Fingerprinter:
    """Takes a tree piece by piece, in the order of `walk`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed & 0xFFFFFFFFFFFFFFFF
        self._all = xxhash.xxh3_128(seed=self._seed)
        self._one: xxhash.xxh3_128 | None = None

    def add(self, kind: bytes, entry: Entry, link: bytes = b"") -> None:
        """Take an entry's attributes; `kind` is one byte, `link` the path it is a hard link to."""
        self.end()
        self._one = xxhash.xxh3_128(_head(kind, entry, link), seed=self._seed)

    def update(self, data: bytes) -> None:
        """Take content of the entry added last; how it is cut into pieces does not matter."""
        assert self._one is not None
        self._one.update(data)

    def end(self) -> bytes:
        """Return the hash of the entry added last, which is complete; empty when there is none."""
        if self._one is None:
            return b""
        found = self._one.digest()
        self._one = None
        self._all.update(found)
        return found

    def mark(self, kind: bytes, path: bytes) -> None:
        """Take something that is only a path."""
        self.end()
        self._one = xxhash.xxh3_128(struct.pack("<cI", kind, len(path)) + path, seed=self._seed)

    def again(self, hashes: bytes) -> None:
        """Take entries by what `end` returned for each."""
        self.end()
        self._all.update(hashes)

    def result(self) -> Fingerprint:
        """Return the fingerprint of all so far."""
        self.end()
        return Fingerprint(self._all.hexdigest())


def _head(kind: bytes, entry: Entry, link: bytes) -> bytes:
    path, mode, uid, gid, size, _, rdev, _, target, xattrs = entry
    rest = path + b"\0" + target + b"\0" + link
    head = _FIXED.pack(kind, len(rest), mode, uid, gid, size, rdev) + rest
    for name, value in xattrs:
        key = name.encode("utf-8", "surrogateescape")
        head += struct.pack("<cII", b"x", len(key), len(value)) + key + value
    return head
