"""A new database from what lies in the store, when the old one cannot be read.

In: a state root. Out: rows for every layer whose directory and tar agree, and for every image whose
config and layers are there. Names of images and records of steps are lost: nothing else has them.
"""

import contextlib
import os
import time

from buildkit.errors import BuildError
from buildkit.fsck.trees import digest_of_layer, tar_digest
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
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
    configs = []
    for name in os.listdir(root.path("blobs", "sha256")):
        path = root.path("blobs", "sha256", name)
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            head = file.read(8)
        if head.startswith(b"{"):
            configs.append(path)
            continue
        found = tar_digest(path)
        if found is not None and found[0] in directories:
            _add_layer(root, *found, "foreign")
            _add_form(root, found[0], head, path)
    for path in configs:
        _add_image(root, path)


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
    try:
        with open(path, "rb") as file:
            data = file.read(9 << 20)
        diff_ids = ImageConfig.parse(data).diff_ids
    except BuildError:
        return
    with root.transaction() as database:
        known = {row[0] for row in database.execute("SELECT diff_id FROM layer")}
        if diff_ids and known.issuperset(diff_ids):
            database.execute(
                "INSERT OR REPLACE INTO known_image VALUES(?, NULL, ?)",
                (Digest.of(data), time.time()),
            )
