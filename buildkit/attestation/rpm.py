"""Packages of rpm, from its SQLite database.

In: files of an image. Out: packages. The database was made by a stranger: it is opened in memory,
its tables are asked for one query, and that may not go on for ever. Older forms (Berkeley DB, ndb)
are not read, and that is said. Source: rpm's docs, "RPM Tags" and "Package Header"; SQLite's
file format, 1.3.3 (a database in WAL mode cannot be opened without its file).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator

from buildkit.attestation.files import ImageFiles
from buildkit.attestation.package import Package

_PLACES = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_OLD = ("Packages", "Packages.db")
_LIMIT = 256 << 20
_STEPS = 50_000_000
"""Instructions of SQLite's machine; a database of 2,000 packages takes some 20,000."""

_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_LICENSE, _ARCH, _SOURCE = 1014, 1022, 1044
_TAGS = frozenset({_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE})
_INT32, _STRING, _I18N = 4, 6, 9
_MAX_ENTRIES = 65_536


def rpm(files: ImageFiles) -> Iterator[Package]:
    """Yield the packages that rpm has installed."""
    for place in _PLACES:
        path = f"{place}/rpmdb.sqlite"
        data = files.read(path, _LIMIT)
        if data is not None:
            yield from _packages(data, path, files)
        elif any(name in _OLD for name in files.names(place)):
            files.warn(f"/{place}: an rpm database of an older form, which is not read")


def _packages(data: bytes, path: str, files: ImageFiles) -> Iterator[Package]:
    if not data.startswith(b"SQLite format 3\0"):
        files.warn(f"/{path}: not read, it is no SQLite database")
        return
    database = sqlite3.connect(":memory:")
    try:
        # Bytes 18 and 19 say 2 for WAL; what is written already is read without.
        opened = bytearray(data)
        opened[18:20] = b"\1\1"
        database.deserialize(opened)
        database.execute("PRAGMA trusted_schema=OFF")
        database.set_progress_handler(lambda: 1, _STEPS)
        kind = database.execute("SELECT type FROM sqlite_master WHERE name='Packages'").fetchone()
        if kind != ("table",):
            raise sqlite3.DatabaseError("it has no table of packages")
        for (blob,) in database.execute("SELECT blob FROM Packages"):
            tags = _header(blob) if isinstance(blob, bytes) else {}
            if _NAME in tags and tags[_NAME] != "gpg-pubkey":
                yield _package(tags, path)
    except sqlite3.Error as error:
        files.warn(f"/{path}: not read: {error}")
    finally:
        database.close()


def _package(tags: dict[int, str], path: str) -> Package:
    epoch = f"{tags[_EPOCH]}:" if _EPOCH in tags else ""
    return Package(
        kind="rpm",
        name=tags[_NAME],
        version=f"{epoch}{tags.get(_VERSION, '')}-{tags.get(_RELEASE, '')}",
        architecture=tags.get(_ARCH, ""),
        license=tags.get(_LICENSE, ""),
        source=tags.get(_SOURCE, ""),
        place=path,
    )


def _header(blob: bytes) -> dict[int, str]:
    """Return the tags that count of a package header, none for what is no header."""
    if len(blob) < 8:
        return {}
    entries, size = struct.unpack_from(">II", blob)
    start = 8 + 16 * entries
    if entries > _MAX_ENTRIES or start + size > len(blob):
        return {}
    found = {}
    for number in range(entries):
        tag, kind, offset, _count = struct.unpack_from(">IIII", blob, 8 + 16 * number)
        if tag not in _TAGS:
            continue
        at = start + offset
        if kind in (_STRING, _I18N) and at < start + size:
            end = blob.find(b"\0", at, start + size)
            found[tag] = blob[at : end if end >= 0 else start + size].decode("utf-8", "replace")
        elif kind == _INT32 and at + 4 <= start + size:
            found[tag] = str(struct.unpack_from(">I", blob, at)[0])
    return found
