"""The one SQLite file of a state root.

In: its path. Out: connections (one a thread) in WAL mode, and transactions whose failures are
StoreError. Writers wait for each other up to a minute; no transaction spans a step or the network.
"""

from __future__ import annotations

import contextlib
import errno
import os

from buildkit.errors import StoreError, disk_error
from buildkit.state import schema
from buildkit.state.driver import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_WAIT = 60.0
_LONG = 1 << 20
"""Bytes of a log that a command does not leave to the next one."""


def connect(path: str) -> sqlite3.Connection:
    """Open the database at `path`, made if need be. For use by the calling thread only."""
    with translated(path):
        database = sqlite3.connect(
            _address(path), timeout=_WAIT, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            # A crash loses at most the last transactions, never the file (SQLite, "WAL").
            database.execute("PRAGMA synchronous=NORMAL")
            found = schema.version(database)
            if found == 0:
                database.execute("PRAGMA journal_mode=WAL")
                schema.create(database)
                found = schema.version(database)
        except BaseException:
            database.close()
            raise
    if found != schema.VERSION:
        database.close()
        raise StoreError(
            f"{path} has tables of version {found}, this pybuild knows {schema.VERSION}",
            hint="use the pybuild that made it, or another --root",
        )
    return database


def _address(path: str) -> str:
    """Return the URI of the database at `path`.

    A log has to be made to read a database that has none, unless nothing can change it: so it is
    where the file system is read-only (SQLite, "Read-Only WAL-Mode Databases").
    """
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    fixed = os.path.exists(path) and not os.path.exists(f"{path}-wal") and _is_fixed(path)
    return f"file:{escaped}?immutable=1" if fixed else f"file:{escaped}"


def _is_fixed(path: str) -> bool:
    """Say whether a file lies on a file system that is read-only."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection, path: str) -> Iterator[sqlite3.Connection]:
    """One write transaction: all of the block or nothing. Not to be nested."""
    with translated(path):
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            # After some errors (a full disk) SQLite has rolled back by itself.
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def shorten_log(database: sqlite3.Connection, path: str) -> None:
    """Bring a log that has become long into the database, unless others are at it just now.

    SQLite does so by itself, but begins the log again only at the write after that, and only for
    who has seen it done. The first to open a database has not: it reads the whole log. So commands
    of one write each, which leave it open, would make it longer for ever. (SQLite, "WAL", 2.3 and
    "Avoiding Excessively Large WAL Files".) What cannot be done, the next command tries again.
    """
    try:
        if os.stat(f"{path}-wal").st_size < _LONG:
            return
        database.execute("PRAGMA busy_timeout=0")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        database.execute(f"PRAGMA busy_timeout={_WAIT * 1000:.0f}")
    except (OSError, sqlite3.Error):
        return


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn SQLite's errors into StoreError naming `path`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if number := _cause(str(error), path):
            cause = OSError(number, os.strerror(number), path)
            raise disk_error(cause, path) from cause
        raise StoreError(f"{path}: {error}", hint=_hint(str(error))) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is damaged: {error}", hint="pybuild fsck --repair makes a new one"
        ) from error


def _cause(message: str, path: str) -> int:
    """Return the error number that is behind SQLite's words where those say too little, or 0."""
    if "readonly" in message and _is_fixed(path):
        return errno.EROFS
    if "unable to open" in message and os.path.exists(path):
        opened: list[int] = []
        # As many as SQLite opens: the database, its log and the index of that. Not these files,
        # for who closes a file gives up all locks that its process has on it (fcntl(2)).
        try:
            opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(3))
        except OSError as error:
            return errno.EMFILE if error.errno == errno.EMFILE else 0
        finally:
            for fd in opened:
                os.close(fd)
    return 0


def _hint(message: str) -> str:
    if "full" in message:
        return "free some space, for example with pybuild prune"
    if "locked" in message:
        return "another pybuild has held the database for a minute; is it stopped?"
    if "readonly" in message or "unable to open" in message:
        return "is the state root writable by this user? --root names another one"
    return ""
