"""The state root: one directory that holds all that pybuild keeps.

In: its path. Out: `StateRoot`, which knows the layout, this process's lease and database
connections. Layout and what may be where: docs/store.md. Closed to other users (docs/security.md,
S29); everything half-made is below `tmp/`, on the same file system as its final place.
"""

from __future__ import annotations

import contextlib
import os
import stat
from _thread import _local, allocate_lock  # `threading` itself is 1 ms for classes

from buildkit.errors import StoreError, disk_error, is_read_only
from buildkit.state import database
from buildkit.state.driver import sqlite3
from buildkit.state.lease import Lease, collect_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


FORMAT = "pybuild-store 1\n"

_RESERVE = "reserve"
_RESERVED = 1 << 20
"""Bytes that are given up first when something must be removed from a full disk."""

_PARTS = (
    *("blobs", "blobs/sha256", "layers", "caches", "contexts", "logs"),
    *("leases", "lint", "locks", "tmp", "containers", "volumes"),
)


class StateRoot:
    """An open state root at the absolute path `top`. Any thread may use it; `close` once."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.boot_id = _boot_id()
        self._local = _local()
        self._connections: list[sqlite3.Connection] = []
        self._mutex = allocate_lock()
        self._lease: Lease | None = None
        self.mended = False
        """Whether the file that names the format was damaged and is new."""

    @classmethod
    def open(cls, path: str, *, mend: bool = False) -> StateRoot:
        """Open the state root at `path`; make it if nothing or an empty directory is there.

        `mend`: a damaged `format` is put aside as `format.damaged` and made again. Raises
        StoreError when the root is of another format, of another user, or something else.
        """
        top = os.path.realpath(path)
        damaged = False
        with writing(top):
            found = _read_format(top)
            damaged = found is not None and not _is_format(found)
            if damaged and mend:
                os.rename(f"{top}/format", f"{top}/format.damaged")
                found = None
            if found is None:
                _create(top)
            elif damaged:
                raise StoreError(
                    f"{top}/format is damaged: {found[:40].strip()!r}",
                    hint="pybuild fsck --repair makes a new one",
                )
            elif found != FORMAT:
                raise StoreError(
                    f"{top} is a state root of another format: {found[:40].strip()!r}",
                    hint="use the pybuild that made it, or another --root",
                )
            _close_to_others(top)
        root = cls(top)
        root.mended = damaged
        return root

    def path(self, *parts: str) -> str:
        """Return the absolute path of something in the root."""
        return "/".join((self.top, *parts))

    def writing(self, what: str = "") -> contextlib.AbstractContextManager[None]:
        """Turn what the disk says in the block into StoreError naming the root or a part of it."""
        return writing(f"{self.top}/{what}" if what else self.top)

    @property
    def database_path(self) -> str:
        """Where the database is."""
        return f"{self.top}/state.db"

    def database(self) -> sqlite3.Connection:
        """Return the calling thread's connection (autocommit; see `transaction`)."""
        try:
            connection: sqlite3.Connection = self._local.connection
        except AttributeError:
            connection = database.connect(self.database_path)
            self._local.connection = connection
            with self._mutex:
                self._connections.append(connection)
        return connection

    def transaction(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """One write transaction on the calling thread's connection."""
        return database.transaction(self.database(), self.database_path)

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Turn what SQLite says in the block into StoreError."""
        return database.translated(self.database_path)

    @property
    def lease(self) -> Lease:
        """This process's lease; when first asked for, leftovers of the dead are removed too."""
        with self._mutex:
            if self._lease is None:
                with self.writing():
                    collect_stale(self.top)
                    self._lease = Lease.acquire(self.top)
            return self._lease

    def use(self, kind: str, *names: str) -> None:
        """Mark things as in use by this command; before they are looked up.

        On a file system that is read-only for us they can be looked at without: whoever may write
        to it elsewhere does not know of us, so that what is removed meanwhile is missed.
        """
        try:
            lease = self.lease
        except StoreError as error:
            if is_read_only(error):
                return
            raise
        with self.writing("leases"):
            lease.use(kind, names)

    def tmp(self) -> str:
        """Make a new private directory for things half-made; gone when this command ends."""
        lease = self.lease
        with self.writing("tmp"):
            return lease.directory()

    def tmp_if_writable(self) -> str | None:
        """Return the same, None where the file system is read-only."""
        try:
            return self.tmp()
        except StoreError as error:
            if is_read_only(error):
                return None
            raise

    def note(self, name: str) -> str:
        """Return a short text that was noted in the root, nothing where none was."""
        try:
            fd = os.open(f"{self.top}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            return os.read(fd, 1000).decode(errors="replace")
        finally:
            os.close(fd)

    def take_note(self, name: str, text: str) -> None:
        """Note a short text, by a name `state.*`; a full or read-only disk forgets it."""
        from buildkit.state import notes  # for a new root

        notes.keep(f"{self.top}/{name}", text.encode())

    def spend_reserve(self) -> None:
        """Free the space kept back, so that what frees more can work on a full disk."""
        with self.writing(), contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.top}/{_RESERVE}")

    def keep_reserve(self) -> None:
        """Keep space back again, if there is any."""
        with contextlib.suppress(OSError):
            _make_reserve(self.top)

    def forget_connections(self) -> None:
        """Close the connections to the database; new ones are made when they are asked for."""
        with self._mutex:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._local = _local()

    def write_back(self) -> None:
        """Bring what the database's log holds into the database itself, and both to the disk.

        After this the file stands for itself, and a power cut takes nothing of it away. What cannot
        be written back now (a full disk) stays in the log, which counts as much.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            self.database().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        """Give the lease and the connections back. May be called twice."""
        self.forget_connections()
        self.release()

    def release(self) -> None:
        """Give the lease back and leave the connections to the end of the process.

        Whoever closes a database last writes its log back and syncs three times, 20 ms that the
        next command need not wait for either: the log is as durable, and is written back here when
        it has grown.
        """
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            database.shorten_log(connection, self.database_path)
        with self._mutex:
            lease, self._lease = self._lease, None
        if lease is not None:
            with self.writing():
                lease.release()

    def __enter__(self) -> StateRoot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn OSError in the block into StoreError; `path` is named where the error names none."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def _read_format(top: str) -> str | None:
    try:
        with open(f"{top}/format", encoding="utf-8", errors="replace") as file:
            return file.read(100)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        return ""


def _is_format(text: str) -> bool:
    """Say whether some version of pybuild may have written `text`."""
    return text.startswith("pybuild-store ") and text[14:-1].isdigit() and text.endswith("\n")


def _create(top: str) -> None:
    """Make the layout; the format file comes last, so that what is cut short is made again."""
    os.makedirs(top, 0o700, exist_ok=True)
    known = {*_PARTS, _RESERVE, "format", "network", "state"}
    strange = [name for name in os.listdir(top) if name.partition(".")[0] not in known]
    if strange:
        raise StoreError(
            f"{top} is neither empty nor a state root: it holds {sorted(strange)[0]!r}",
            hint="name an empty or a new directory with --root or PYBUILD_ROOT",
        )
    os.chmod(top, 0o700)
    for part in _PARTS:
        # mkdir's mode is subject to the umask, which could leave out our own bits.
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{top}/{part}", 0o700)
            os.chmod(f"{top}/{part}", 0o700)
    with contextlib.suppress(OSError):
        _make_reserve(top)
    temporary = f"{top}/format.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(FORMAT)
        file.flush()
        os.fsync(file.fileno())  # an empty one would be taken for damage
    os.rename(temporary, f"{top}/format")


def _make_reserve(top: str) -> None:
    fd = os.open(f"{top}/{_RESERVE}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, _RESERVED)
    finally:
        os.close(fd)


def _close_to_others(top: str) -> None:
    found = os.stat(top)
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"{top} belongs to user {found.st_uid}, not to this one",
            hint="name another state root with --root or PYBUILD_ROOT",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(top, 0o700)


def _boot_id() -> str:
    """Return what changes when the machine is started anew."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return _boot_time()


def _boot_time() -> str:
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            return next((line.strip() for line in lines if line.startswith("btime ")), "")
    except OSError:
        return ""
