"""The tables of `state.db`, one script; a version of it is `PRAGMA user_version`.

Every row can be made again or done without: layers from their directories, steps by running
them. Only the names of images are news, and those are written last.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.state.driver import sqlite3

VERSION = 1

UNKEPT = "~"
"""Stands before a `blob_form.compressor` when no blob is kept and the form is made when needed."""

_SCRIPT = """
CREATE TABLE store(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
INSERT INTO store VALUES('seed', hex(randomblob(8)));

-- origin: 'packed' here, or 'foreign' (came as a tar, whose blobs stand in blob_form).
-- compressor: '' for a blob from elsewhere; '~' before the name: UNKEPT.
-- boot_id, synced: a layer that was not synced before the machine went down is not trusted.
CREATE TABLE layer(
    diff_id TEXT PRIMARY KEY, size INTEGER, files INTEGER, fingerprint TEXT, created TEXT,
    origin TEXT, boot_id TEXT, synced INTEGER, used REAL) WITHOUT ROWID;
CREATE TABLE blob_form(
    diff_id TEXT, compression TEXT, compressor TEXT, digest TEXT, size INTEGER,
    PRIMARY KEY(diff_id, compression, compressor)) WITHOUT ROWID;
CREATE INDEX blob_form_digest ON blob_form(digest);

-- name: canonical reference. config: config digest, which is the image ID.
CREATE TABLE image(name TEXT PRIMARY KEY, config TEXT, updated REAL) WITHOUT ROWID;
-- every image, also without a name; manifest: the blob it came with, or NULL.
-- an index of several images has a row too; config and manifest are both its own digest.
CREATE TABLE known_image(config TEXT PRIMARY KEY, manifest TEXT, created REAL) WITHOUT ROWID;

-- document: canonical JSON. parent: chain ID or ''. record: JSON.
CREATE TABLE step(
    key TEXT PRIMARY KEY, document TEXT, parent TEXT, diff_id TEXT, fingerprint TEXT,
    created TEXT, record TEXT, used REAL) WITHOUT ROWID;
CREATE INDEX step_candidate ON step(parent, fingerprint);
CREATE INDEX step_layer ON step(diff_id);
-- what a COPY selected, file by file; zlib'd JSON lines.
CREATE TABLE selection(id TEXT PRIMARY KEY, manifest BLOB) WITHOUT ROWID;
CREATE TABLE build(
    id TEXT PRIMARY KEY, identity TEXT, started REAL, ended REAL, outcome TEXT, record TEXT
    ) WITHOUT ROWID;
CREATE INDEX build_identity ON build(identity, started);
-- content digests of paths in snapshots, which never change.
CREATE TABLE snapshot_selection(
    chain TEXT, sources TEXT, digest TEXT, PRIMARY KEY(chain, sources)) WITHOUT ROWID;
"""


def create(database: sqlite3.Connection) -> None:
    """Make the tables if they are not there; any number of processes may try at once."""
    database.execute("BEGIN IMMEDIATE")
    try:
        if version(database) == 0:
            for statement in _statements():
                database.execute(statement)
            database.execute(f"PRAGMA user_version={VERSION}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def version(database: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 where there are none."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _statements() -> list[str]:
    # Not executescript(), which commits the transaction first.
    lines = [line for line in _SCRIPT.splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
