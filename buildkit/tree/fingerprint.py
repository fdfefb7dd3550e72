"""Fingerprints: xxh3-128 of trees, to find candidates fast; they never decide alone.

In: entries and content. Out: a `Fingerprint` that depends on names, types, modes, owners,
targets, devices, attributes, hard links and content, not on times. Seeded with a random number
of the store, so nobody can prepare collisions, and it means nothing elsewhere. The only import
of xxhash.
"""

import struct

import xxhash

from buildkit.oci.digest import Fingerprint
from buildkit.tree.entry import Entry

_FIXED = struct.Struct("<cIIIIQQ")


class Fingerprinter:
    """Takes a tree piece by piece, in the order of `walk`."""

    def __init__(self, seed: int) -> None:
        self._hash = xxhash.xxh3_128(seed=seed & 0xFFFFFFFFFFFFFFFF)
        self.update = self._hash.update
        """Takes content of the entry added last; how it is cut into pieces does not matter."""

    def add(self, kind: bytes, entry: Entry, link: bytes = b"") -> None:
        """Take an entry's attributes; `kind` is one byte, `link` the path it is a hard link to."""
        path, mode, uid, gid, size, _, rdev, _, target, xattrs = entry
        rest = path + b"\0" + target + b"\0" + link
        self.update(_FIXED.pack(kind, len(rest), mode, uid, gid, size, rdev) + rest)
        for name, value in xattrs:
            key = name.encode("utf-8", "surrogateescape")
            self.update(struct.pack("<cII", b"x", len(key), len(value)) + key + value)

    def mark(self, kind: bytes, path: bytes) -> None:
        """Take something that is only a path."""
        self.update(struct.pack("<cI", kind, len(path)) + path)

    def result(self) -> Fingerprint:
        """Return the fingerprint of all so far."""
        return Fingerprint(self._hash.hexdigest())
