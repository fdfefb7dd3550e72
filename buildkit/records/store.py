"""Build records in the state root: the last ones of each thing built, and their logs.

In: `BuildRecord`s. Out: the same again, newest first; a damaged row is passed over (R1). Bounded:
`KEPT` builds of one identity, `KEPT_ALL` altogether (R12).
"""

from __future__ import annotations

import os
import time

from buildkit.cache.key import CacheKey
from buildkit.cache.local import LocalCacheStore
from buildkit.records.record import BuildRecord, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.state.root import StateRoot


KEPT = 20
KEPT_ALL = 1000
FORGOTTEN_AFTER = 7 * 86400.0
"""Seconds."""


class RecordStore:
    """The build records of `root`; any number of these, in any processes, share it."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root

    def save(self, record: BuildRecord) -> None:
        """Keep `record`, and drop what is too old. Atomic; replaces one of the same id."""
        row = (
            record.id,
            record.identity,
            record.started,
            record.ended,
            record.outcome,
            encode(record),
        )
        with self._root.transaction() as database:
            database.execute("INSERT OR REPLACE INTO build VALUES(?,?,?,?,?,?)", row)
            dropped = database.execute(
                "SELECT id, record FROM build WHERE identity=? "
                "ORDER BY started DESC, id DESC LIMIT -1 OFFSET ?",
                (record.identity, KEPT),
            ).fetchall()
            (kept,) = database.execute("SELECT count(*) FROM build").fetchone()
            if kept > KEPT_ALL + len(dropped):
                dropped += database.execute(
                    "SELECT id, record FROM build ORDER BY started LIMIT ?",
                    (kept - KEPT_ALL - len(dropped),),
                ).fetchall()
            database.executemany("DELETE FROM build WHERE id=?", [(one[0],) for one in dropped])
        self._drop_logs([decode(text) for _, text in dropped])

    def last(self, identity: str, limit: int = KEPT) -> list[BuildRecord]:
        """Return the last `limit` builds of `identity`, newest first."""
        return list(self.each(identity, limit))

    def each(self, identity: str, limit: int = KEPT) -> Iterator[BuildRecord]:
        """Yield the last `limit` builds of `identity`, newest first, decoded when asked for."""
        return self._read(
            "SELECT record FROM build WHERE identity=? ORDER BY started DESC, id DESC LIMIT ?",
            (identity, limit),
        )

    def recent(self, limit: int = KEPT) -> list[BuildRecord]:
        """Return the last `limit` builds of anything, newest first."""
        return list(
            self._read("SELECT record FROM build ORDER BY started DESC, id DESC LIMIT ?", (limit,))
        )

    def get(self, prefix: str) -> BuildRecord | None:
        """Return the newest build whose id begins with `prefix`."""
        found = self._read(
            # Python 3.12.1 takes a numbered parameter, which could stand here twice, for a name.
            "SELECT record FROM build WHERE substr(id, 1, length(?))=? "
            "ORDER BY started DESC LIMIT 1",
            (prefix, prefix),
        )
        return next(found, None)

    def log_path(self, log: str) -> str:
        """Return where the log file that a record calls `log` is."""
        return self._root.path("logs", log)

    def collect_logs(self) -> int:
        """Remove logs that nobody will ask for any more (their build was killed); return how many.

        A log counts as forgotten when neither a build nor a result of the cache names it and it
        was not written to for a week: a build that runs has not named its logs yet.
        """
        with self._root.reading():
            database = self._root.database()
            builds = database.execute("SELECT record FROM build").fetchall()
            results = database.execute("SELECT json_extract(record, '$.log') FROM step").fetchall()
        named = {log for (log,) in results}
        for (text,) in builds:
            record = decode(text)
            named.update(step.log for step in (record.steps if record is not None else ()))
        limit = time.time() - FORGOTTEN_AFTER
        directory = self._root.path("logs")
        gone = 0
        with self._root.writing("logs"), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name not in named and entry.stat(follow_symlinks=False).st_mtime < limit:
                    os.unlink(entry.path)
                    gone += 1
        return gone

    def _read(self, query: str, values: tuple[object, ...]) -> Iterator[BuildRecord]:
        with self._root.reading():
            rows = self._root.database().execute(query, values).fetchall()
        return (record for (text,) in rows if (record := decode(text)) is not None)

    def _drop_logs(self, records: list[BuildRecord | None]) -> None:
        """Remove the logs of `records`, but for those of results that the cache still has."""
        cache = LocalCacheStore(self._root)
        for record in records:
            for step in record.steps if record is not None else ():
                if not step.log or step.outcome == "cached":
                    continue
                cached = cache.find(CacheKey(step.key)) if step.key else None
                if cached is None or cached.log != step.log:
                    try:
                        os.unlink(self.log_path(step.log))
                    except FileNotFoundError:
                        pass
