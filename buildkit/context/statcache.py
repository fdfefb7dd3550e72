"""What was read of a context, remembered, so that an unchanged file is never read again.

In: directories as they are found now. Out: digests of files whose rows are the same as when they
were read, and, in one step, the digest of a whole selection when no directory under it differs.
Kept in one file a context: a small index, then one record a directory, read only when needed.
Written aside and renamed; damage is found by checksum and means that nothing is known.

Racy files: a file written to within one tick of the clock after it was read looks unchanged. So a
file is remembered only if its change time lies before the scan began by more than a tick, and the
digest of a selection only if that holds for all directories under it (git's index does the same).
Nothing is remembered where change times say nothing (changetimes.py), and nothing of a file that
was another one by the time that it was read. A store through a shared mapping to a page that is
dirty already changes no time at all, on any kernel; no tool can see that.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import time

from buildkit.context.rows import Content, Row
from buildkit.oci.digest import sha256_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

    from buildkit.context.directory import Directory
    from buildkit.context.tree import Known


_MAGIC = b"pybuild stat cache 1\n"
_HEAD = len(_MAGIC) + 32 + 8
_SELECTIONS = 256
_FINE_TICK = 20_000_000
_COARSE_TICK = 2_100_000_000

_Slot: TypeAlias = tuple[int, int, bytes]
"""Offset behind the index, length, sha256 of a directory's record."""

_Noted: TypeAlias = tuple[bytes, str]
"""Signature of the directories under a selection, and its digest."""


class StatCache:
    """A `Memory` (see tree.py) in the file `path`. Made by `load`; `close` it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._began = time.time_ns()
        self._fd = -1
        self._records = 0
        self._slots: dict[str, _Slot] = {}
        self._noted: dict[str, _Noted] = {}
        self._known: dict[str, Known] = {}
        self._learned: set[str] = set()
        self._changed = False
        self._without: frozenset[int] | None = None

    @classmethod
    def load(cls, path: str) -> StatCache:
        """Return what the file `path` remembers; nothing when it is not there or damaged.

        To be called before anything of the context is looked at: that is when the scan begins.
        """
        cache = cls(path)
        try:
            cache._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            index = _read_index(cache._fd)
        except OSError:
            cache.close()
            return cache
        if index is not None:
            cache._records, cache._slots, cache._noted = index
        return cache

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def recall(self, path: str) -> Known:
        """Return the files of the directory `path` as they were last seen, and their content."""
        known = self._known.get(path)
        if known is None:
            record = self._record(path)
            rows = marshal.loads(record) if record else ()  # noqa: S302 - checked by its sha256
            known = self._known[path] = {row[0]: (row, Content(*seen)) for row, seen in rows}
        return known

    def learn(self, path: str) -> None:
        """Note that something was added to what `recall(path)` gave."""
        self._learned.add(path)

    def digest(self, spec: str, directories: Mapping[str, Directory]) -> str | None:
        """Return the digest noted for `spec` while all `directories` were as they are now."""
        noted = self._noted.get(_name(spec))
        return noted[1] if noted is not None and noted[0] == _signature(directories) else None

    def note(self, spec: str, directories: Mapping[str, Directory], digest: str) -> None:
        """Remember `digest`, unless a file may have changed without it showing."""
        if all(self._is_settled(one.newest) for one in directories.values()) and not (
            self._devices_without()
            and any(self._is_unseen(row) for one in directories.values() for row in one.rows)
        ):
            name = _name(spec)
            self._noted.pop(name, None)
            self._noted[name] = (_signature(directories), digest)
            self._changed = True

    def forget(self, path: str) -> None:
        """Drop what is known of the file `path`, and all digests: it may be in any of them."""
        above, _, name = path.rpartition("/")
        self.recall(above).pop(name, None)
        self._learned.add(above)
        self._noted.clear()

    def save(self, directories: Mapping[str, Directory]) -> None:
        """Write what has come to be known; `directories` are those that were looked at.

        May be called again. Failing to write is no error: the next build reads again.
        """
        if not self._changed and not self._learned:
            return
        slots, records = self._records_now(directories)
        noted = dict(list(self._noted.items())[-_SELECTIONS:])
        index = marshal.dumps((slots, noted), 2)
        head = _MAGIC + sha256_of(index).digest() + len(index).to_bytes(8, "little")
        # Not by its number alone: in containers that is often the one of a process that was killed.
        aside = f"{self._path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
        try:
            fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            with open(fd, "wb", closefd=False) as file:
                file.writelines([head, index, *records])
            os.rename(aside, self._path)
        except OSError:
            os.close(fd)
            # `prune --all` may have taken it away.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            return
        self.close()
        self._fd, self._records, self._slots = fd, len(head) + len(index), slots
        self._changed = False
        self._learned.clear()

    def _is_settled(self, ctime: int) -> bool:
        """Say whether what last changed at `ctime` can change no more without it showing.

        File systems with coarse times (FAT, old NFS) are known by times without a fraction.
        """
        tick = _FINE_TICK if ctime % 1_000_000 else _COARSE_TICK
        return ctime < self._began - tick

    def _devices_without(self) -> frozenset[int]:
        """Return the devices without change times; looked up when there is something to note."""
        if self._without is None:
            from buildkit.context.changetimes import mounted_without  # a cached build notes nothing

            self._without = mounted_without()
        return self._without

    def _is_unseen(self, row: Row) -> bool:
        """Say whether a change of `row` would not show."""
        return row[10] in self._devices_without()

    def _record(self, path: str) -> bytes:
        """Return the record of a directory, empty when there is none that is whole."""
        slot = self._slots.get(path)
        if slot is None or self._fd < 0:
            return b""
        offset, length, checksum = slot
        record = self._read(length, self._records + offset)
        return record if sha256_of(record).digest() == checksum else b""

    def _read(self, length: int, offset: int) -> bytes:
        """Return bytes of the file, nothing where the disk does not give them."""
        try:
            return os.pread(self._fd, length, offset)
        except OSError:
            return b""

    def _records_now(
        self, directories: Mapping[str, Directory]
    ) -> tuple[dict[str, _Slot], list[bytes]]:
        """Return the records to be written, and where each will be."""
        slots: dict[str, _Slot] = {}
        records: list[bytes] = []
        end = 0
        old = b"" if self._fd < 0 else self._read(os.fstat(self._fd).st_size, self._records)
        for path in sorted({*self._slots, *self._learned} - set(self._vanished(directories))):
            if path in self._learned:
                record = self._new_record(path, directories.get(path))
                checksum = sha256_of(record).digest()
            else:
                offset, length, checksum = self._slots[path]
                record = old[offset : offset + length]
            if record:
                slots[path] = (end, len(record), checksum)
                records.append(record)
                end += len(record)
        return slots, records

    def _new_record(self, path: str, directory: Directory | None) -> bytes:
        """Return the record of what is known of `path`, without what is racy or gone."""
        present = None if directory is None else {row[0] for row in directory.rows}
        rows = [
            (row, tuple(content))
            for name, (row, content) in self._known[path].items()
            if self._is_settled(row[4])
            and not self._is_unseen(row)
            and (present is None or name in present)
        ]
        return marshal.dumps(rows, 2) if rows else b""

    def _vanished(self, directories: Mapping[str, Directory]) -> Iterator[str]:
        """Yield directories that are remembered and are no more."""
        for path in {*self._slots, *self._known} - directories.keys():
            above, _, name = path.rpartition("/")
            while above and above not in directories:
                above, _, name = above.rpartition("/")
            found = directories.get(above)
            if found is not None and name not in found.subdirectories:
                yield path


def _read_index(fd: int) -> tuple[int, dict[str, _Slot], dict[str, _Noted]] | None:
    """Return where the records begin, and the index; None when the file is not whole."""
    head = os.pread(fd, _HEAD, 0)
    if len(head) != _HEAD or not head.startswith(_MAGIC):
        return None
    checksum, length = head[len(_MAGIC) : -8], int.from_bytes(head[-8:], "little")
    if length > os.fstat(fd).st_size:
        return None
    index = os.pread(fd, length, _HEAD)
    if sha256_of(index).digest() != checksum:
        return None
    slots, noted = marshal.loads(index)  # noqa: S302 - checked by its sha256
    return _HEAD + length, slots, noted


def _name(spec: str) -> str:
    return sha256_of(spec.encode("utf-8", "surrogateescape")).hexdigest()


def _signature(directories: Mapping[str, Directory]) -> bytes:
    """Return a sha256 of the names and fingerprints of `directories`, in their order."""
    parts = [
        os.fsencode(path) + b"\0" + directory.fingerprint for path, directory in directories.items()
    ]
    return sha256_of(b"".join(parts)).digest()
