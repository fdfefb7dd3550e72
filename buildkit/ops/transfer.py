"""The bytes of one file: from one descriptor to another, hashed on the way.

In: an open source and an open empty destination. Out: the sha256 of what was written. Holes stay
holes; where the file system shares blocks (FICLONE), large files are shared and hashed from the
copy, so that what the digest says is what the destination holds (R9).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable

_CHUNK = 1 << 18
_CLONE_FROM = 1 << 20
_FICLONE = 0x40049409
_ZEROS = bytes(_CHUNK)


class Transfer:
    """Copies files; remembers whether cloning works, so as not to try it for each."""

    def __init__(self, check: Callable[[], object]) -> None:
        self._check = check
        self._clones = True

    def copy(self, source: int, target: int, found: os.stat_result) -> str:
        """Copy all of `source`, which `found` describes, to `target`; return the sha256 in hex."""
        size = found.st_size
        if size >= _CLONE_FROM:
            if self._clone(source, target):
                return self._hash(target)
            if found.st_blocks * 512 < size:
                return self._copy_sparse(source, target, size)
        return self._copy_plain(source, target, size)

    def _copy_plain(self, source: int, target: int, size: int) -> str:
        want = min(size, _CHUNK) + 1
        data = os.read(source, want)
        digest = hashlib.sha256(data)
        write_all(target, data)
        while len(data) == want:
            self._check()
            want = _CHUNK
            data = os.read(source, want)
            digest.update(data)
            write_all(target, data)
        return digest.hexdigest()

    def _clone(self, source: int, target: int) -> bool:
        if not self._clones:
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError:
            self._clones = False
            return False
        return True

    def _hash(self, fd: int) -> str:
        digest = hashlib.sha256()
        place = 0
        while data := os.pread(fd, _CHUNK, place):
            self._check()
            digest.update(data)
            place += len(data)
        return digest.hexdigest()

    def _copy_sparse(self, source: int, target: int, size: int) -> str:
        digest = hashlib.sha256()
        place = 0
        while place < size:
            start = _next_data(source, place, size)
            for begin in range(place, start, _CHUNK):
                self._check()
                digest.update(_ZEROS[: min(_CHUNK, start - begin)])
            end = os.lseek(source, start, os.SEEK_HOLE) if start < size else size
            for begin in range(start, end, _CHUNK):
                self._check()
                data = os.pread(source, min(_CHUNK, end - begin), begin)
                digest.update(data)
                os.lseek(target, begin, os.SEEK_SET)
                write_all(target, data)
            place = end
        os.ftruncate(target, size)
        return digest.hexdigest()


def _next_data(fd: int, place: int, size: int) -> int:
    """Return where the next data after `place` begins, `size` when there is none."""
    try:
        return min(os.lseek(fd, place, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        raise


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`."""
    done = os.write(fd, data) if data else 0
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])
