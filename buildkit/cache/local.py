"""The cache of a state root: step records and manifests in its SQLite file.

Implements `buildkit.cache.store.CacheStore`. A row is believed only when its document hashes to
its key and every other field has its form (R1); anything else counts as not there and is replaced
by the next `save`.
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib

from buildkit.cache.claim import claim
from buildkit.cache.key import CacheKey, cache_key
from buildkit.cache.result import Usage
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.state.driver import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from buildkit.progress.cancel import Cancel
    from buildkit.state.root import StateRoot


TOUCH_AFTER = 3600.0
"""Seconds: a record's time of use is written at most once an hour, so a cached build reads only."""

MANIFEST_LIMIT = 256 << 20
"""A manifest longer than this is taken for damage."""

_CANDIDATES = 8
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
_HEX = re.compile(r"[0-9a-f]+")
_FIND = "SELECT document, parent, diff_id, fingerprint, created, record, used FROM step WHERE key=?"


class LocalCacheStore:
    """The cache in `root`; any number of these, in any processes, share it."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root
        self._stale: set[CacheKey] = set()
        self._touch_before = time.time() - TOUCH_AFTER

    def find(self, key: CacheKey) -> CachedStep | None:
        """Return the record of `key`."""
        try:  # what `reading` does, without the price of a context manager for each step
            row = self._root.database().execute(_FIND, (key,)).fetchone()
        except sqlite3.Error as error:
            with self._root.reading():
                raise error
        if row is None:
            return None
        *fields, used = row
        if not isinstance(used, float) or used < self._touch_before:
            self._stale.add(key)
        return _parse(key, fields)

    def save(self, step: CachedStep, manifests: Mapping[str, bytes]) -> None:
        """Remember `step` and `manifests`, in one transaction."""
        packed = [(name, zlib.compress(text, 1)) for name, text in manifests.items()]
        record = {"seconds": step.seconds, "usage": list(step.usage), "log": step.log}
        record["made"] = step.made
        row = (
            step.key,
            step.document,
            step.parent,
            step.diff_id,
            step.fingerprint,
            step.created,
            json.dumps(record, separators=(",", ":")),
            time.time(),
        )
        with self._root.transaction() as database:
            database.execute("INSERT OR REPLACE INTO step VALUES(?,?,?,?,?,?,?,?)", row)
            if packed:
                database.executemany("INSERT OR REPLACE INTO selection VALUES(?,?)", packed)

    def touch(self, keys: Iterable[CacheKey]) -> None:
        """Note that the records of `keys`, which were found here, were used now.

        Writes only what is an hour old.
        """
        stale = self._stale.intersection(keys)
        if stale:
            now = time.time()
            with self._root.transaction() as database:
                database.executemany(
                    "UPDATE step SET used=? WHERE key=?", [(now, key) for key in sorted(stale)]
                )
            self._stale -= stale

    def candidates(self, parent: str, fingerprint: Fingerprint) -> Sequence[tuple[Digest, str]]:
        """Return diff ID and time of earlier results on `parent` with `fingerprint`."""
        with self._root.reading():
            rows = (
                self._root.database()
                .execute(
                    "SELECT diff_id, created FROM step WHERE parent=? AND fingerprint=? "
                    "ORDER BY used DESC, key LIMIT ?",
                    (parent, fingerprint, _CANDIDATES),
                )
                .fetchall()
            )
        found: dict[Digest, str] = {}
        for diff_id, created in rows:
            digest = _digest(diff_id)
            if digest is not None and _is_time(created):
                found.setdefault(digest, created)
        return list(found.items())

    def claim(self, key: CacheKey, cancel: Cancel) -> AbstractContextManager[None]:
        """Hold the right to make the result of `key`; see `buildkit.cache.claim`."""
        return claim(self._root.path("locks", "keys.lock"), key, cancel)

    def document(self, key: CacheKey) -> str | None:
        """Return the key document of `key`."""
        found = self.find(key)
        return None if found is None else found.document

    def manifest(self, digest: str) -> bytes | None:
        """Return the manifest saved under `digest`."""
        with self._root.reading():
            row = (
                self._root.database()
                .execute("SELECT manifest FROM selection WHERE id=?", (digest,))
                .fetchone()
            )
        return None if row is None else _unpacked(row[0])

    def remove(self, keys: Iterable[CacheKey]) -> None:
        """Forget the records of `keys`, with their logs and the manifests that nobody needs then.

        For garbage collection and repair; a build that has looked one up already is not disturbed.
        """
        gone = list(keys)
        logs = [found.log for found in map(self.find, gone) if found is not None and found.log]
        with self._root.transaction() as database:
            database.executemany("DELETE FROM step WHERE key=?", [(key,) for key in gone])
            wanted: set[str] = set()
            for document, diff_id in database.execute("SELECT document, diff_id FROM step"):
                wanted.update(selections(document))
                wanted.add(diff_id)  # the listing of its layer
            unused = [
                row for row in database.execute("SELECT id FROM selection") if row[0] not in wanted
            ]
            database.executemany("DELETE FROM selection WHERE id=?", unused)
        for log in logs:
            _unlink(self._root.path("logs", log))


def selections(document: object) -> frozenset[str]:
    """Return the digests in the inputs of a key document under which manifests may be kept."""
    try:
        inputs = json.loads(document)["inputs"] if isinstance(document, str) else None
    except (ValueError, KeyError, TypeError):
        return frozenset()
    if not isinstance(inputs, list):
        return frozenset()
    found: set[str] = set()
    for one in inputs:
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, dict):
            found.update(value for value in one.values() if isinstance(value, str))
    return frozenset(found)


def _parse(key: CacheKey, row: Sequence[object]) -> CachedStep | None:
    """Return a row's record, or None for one that is damaged."""
    document, parent, diff_id, fingerprint, created, record = row
    digest = _digest(diff_id)
    if digest is None or not (isinstance(document, str) and isinstance(parent, str)):
        return None
    if not document.isascii() or cache_key(document) != key or not _is_time(created):
        return None
    if parent and _digest(parent) is None:
        return None
    seconds, usage, log, made = _measured(record)
    return CachedStep(
        key=key,
        document=document,
        parent=parent,
        diff_id=digest,
        fingerprint=_fingerprint(fingerprint),
        created=str(created),
        seconds=seconds,
        usage=usage,
        log=log,
        made=made,
    )


def _measured(record: object) -> tuple[float, Usage, str, float]:
    """Return seconds, usage, log and time of a run; they only inform: damage makes them nothing."""
    try:
        fields = json.loads(record) if isinstance(record, str) else {}
        cpu, memory, read, written = fields["usage"]
        usage = Usage(cpu=float(cpu), memory=int(memory), read=int(read), written=int(written))
        log = fields["log"]
        if not isinstance(log, str) or "/" in log or log.startswith("."):
            log = ""
        return float(fields["seconds"]), usage, log, float(fields.get("made", 0.0))
    except (ValueError, KeyError, TypeError):
        return 0.0, Usage(), "", 0.0


def _digest(text: object) -> Digest | None:
    try:
        return Digest.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _fingerprint(text: object) -> Fingerprint | None:
    return Fingerprint(text) if isinstance(text, str) and _HEX.fullmatch(text) else None


def _is_time(text: object) -> bool:
    return isinstance(text, str) and _CREATED.fullmatch(text) is not None


def _unpacked(packed: object) -> bytes | None:
    """Return the manifest in a row, or None for one that is damaged."""
    if not isinstance(packed, bytes):
        return None
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MANIFEST_LIMIT)
    except zlib.error:
        return None
    return text if unpacker.eof else None


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
