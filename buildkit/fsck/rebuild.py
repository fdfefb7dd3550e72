"""A new database from what lies in the store, when the old one cannot be read.

In: a state root. Out: rows for every layer whose directory and tar agree, for every image whose
config and layers are there, with a manifest that is whole, for every index of such images, and for
every statement about one. Names of images and records of steps are lost: nothing else has them.
"""

from __future__ import annotations

import contextlib
import os
import time

from buildkit.attestation import kept as attestations
from buildkit.attestation.statement import KINDS, MAX_STATEMENT, is_about, parsed
from buildkit.content.local import LocalBlobStore
from buildkit.errors import BuildError, ImageError
from buildkit.fsck.trees import digest_of_layer, tar_digest
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.fields import MAX_DOCUMENT
from buildkit.oci.index_parts import parts_of
from buildkit.oci.manifest import Manifest
from buildkit.snapshot.compression import detect
from buildkit.state.root import StateRoot


def rebuild(root: StateRoot) -> None:
    """Set the database aside and make a new one."""
    root.forget_connections()
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(root.database_path + suffix, f"{root.database_path}.damaged{suffix}")
    directories = {
        f"sha256:{name}": root.path("layers", name) for name in os.listdir(root.path("layers"))
    }
    for diff_id, directory in list(directories.items()):
        with contextlib.suppress(OSError, BuildError):
            digest, size = digest_of_layer(directory)
            if digest == diff_id:
                _add_layer(root, diff_id, size, "packed")
                del directories[diff_id]
    documents = []
    for name in os.listdir(root.path("blobs", "sha256")):
        path = root.path("blobs", "sha256", name)
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            head = file.read(8)
        if head.startswith(b"{"):
            documents.append(path)
            continue
        found = tar_digest(path)
        if found is not None and found[0] in directories:
            _add_layer(root, *found, "foreign")
            _add_form(root, found[0], head, path)
    # The older ones first: where two say something of one image, the later word counts.
    documents.sort(key=lambda path: (os.stat(path).st_mtime_ns, path))
    for add in (_add_image, _add_manifest, _add_index, _add_statement):
        for path in documents:
            with contextlib.suppress(BuildError):
                add(root, path)


def _add_layer(root: StateRoot, diff_id: str, size: int, origin: str) -> None:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with root.transaction() as database:
        database.execute(
            "INSERT OR REPLACE INTO layer VALUES(?, ?, 0, '', ?, ?, ?, 0, ?)",
            (diff_id, size, created, origin, root.boot_id, time.time()),
        )


def _add_form(root: StateRoot, diff_id: str, head: bytes, path: str) -> None:
    with root.transaction() as database:
        database.execute(
            "INSERT OR REPLACE INTO blob_form VALUES(?, ?, '', ?, ?)",
            (diff_id, detect(head), f"sha256:{os.path.basename(path)}", os.stat(path).st_size),
        )


def _add_image(root: StateRoot, path: str) -> None:
    """Note the image, if the blob is a config whose layers are all there."""
    data = _read(path, MAX_DOCUMENT)
    diff_ids = ImageConfig.parse(data).diff_ids
    with root.transaction() as database:
        known = {row[0] for row in database.execute("SELECT diff_id FROM layer")}
        if diff_ids and known.issuperset(diff_ids):
            database.execute(
                "INSERT OR REPLACE INTO known_image VALUES(?, NULL, ?)",
                (Digest.of(data), time.time()),
            )


def _add_manifest(root: StateRoot, path: str) -> None:
    """Note that an image came with the manifest in the blob, if all that it names is there."""
    data = _read(path, MAX_DOCUMENT)
    manifest = Manifest.parse(data)
    blobs = LocalBlobStore(root)
    if all(os.path.isfile(blobs.path(layer.digest)) for layer in manifest.layers):
        with root.transaction() as database:
            database.execute(
                "UPDATE known_image SET manifest=? WHERE config=?",
                (Digest.of(data), manifest.config.digest),
            )


def _add_index(root: StateRoot, path: str) -> None:
    """Note the index, if the blob is one and the images of its manifests that are here are, too."""
    digest = Digest.of(_read(path, MAX_DOCUMENT))
    parts = parts_of(digest, LocalBlobStore(root).glance)
    with root.transaction() as database:
        known = {row[0] for row in database.execute("SELECT config FROM known_image")}
        if parts and known.issuperset(part.image for part in parts):
            database.execute(
                "INSERT OR REPLACE INTO known_image VALUES(?, ?, ?)", (digest, digest, time.time())
            )


def _add_statement(root: StateRoot, path: str) -> None:
    """Note the statement, if the blob is one about an image that is there."""
    data = _read(path, MAX_STATEMENT)
    kind = KINDS.get(parsed(data, path)["predicateType"])
    with root.reading():
        rows = root.database().execute("SELECT config FROM known_image").fetchall()
    for (image,) in rows:
        about = Digest.parse(image)
        if kind is not None and is_about(data, about):
            attestations.keep(root, LocalBlobStore(root), about, kind, data)


def _read(path: str, limit: int) -> bytes:
    """Return a document. Raises ImageError for one that is too large to be one, or damaged."""
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ImageError(f"{path} is too large for a document")
    if Digest.of(data).hex != os.path.basename(path):
        raise ImageError(f"{path} is damaged")
    return data
