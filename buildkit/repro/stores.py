"""Throw-away stores that hold the base images of another one.

In: a store and images in it. Out: a new store below `tmp/` of the first, so on the same file
system, with the same layers as hard links: nothing of the first can change through them, as layers
never are written to. It goes with the command, however that ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from buildkit.content.local import LocalBlobStore
from buildkit.images import ImageStore
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.snapshot.adapted import adapt
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.layout import PIECES
from buildkit.state.root import StateRoot

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TREE = "fs"
_ADAPTED = "on"
_ROW = "?, ?, ?, ?, ?, ?, ?, ?, ?"


def share(root: StateRoot, images: Iterable[Digest], top: str) -> None:
    """Make a store at `top` and put `images` of `root`, which are in use, into it."""
    with StateRoot.open(top) as new:
        for image in dict.fromkeys(images):
            _share_image(root, new, image)
        with root.reading():
            rows = (
                root.database()
                .execute("SELECT name, value FROM store WHERE name LIKE 'remote %'")
                .fetchall()
            )
        with new.transaction() as database:
            # What registries were seen to have: names by digest mean the same images.
            database.executemany("INSERT OR REPLACE INTO store VALUES(?, ?)", rows)


def _share_image(root: StateRoot, new: StateRoot, image: Digest) -> None:
    store = ImageStore(root)
    for diff_id in store.config(image).diff_ids:
        _share_layer(root, new, diff_id)
    manifest = store.manifest(image)
    blobs = LocalBlobStore(root)
    if manifest is not None and blobs.has(manifest):
        LocalBlobStore(new).put_bytes(blobs.read(manifest))
    names = map(Reference.parse, store.names(image))
    ImageStore(new).add(store.config_blob(image), names, manifest=manifest)


def _share_layer(root: StateRoot, new: StateRoot, diff_id: Digest) -> None:
    source, target = root.path("layers", diff_id.hex), new.path("layers", diff_id.hex)
    if os.path.isdir(target):
        return
    root.use("layer", diff_id)
    with new.writing("layers"):
        os.mkdir(target, 0o700)
        fd = os.open(Layers(root).fs(diff_id), _DIRECTORY)
        try:
            adapt(fd, f"{target}/{_TREE}", parent_fd=None, directories=(), void=frozenset())
        finally:
            os.close(fd)
        for name in os.listdir(source):
            if name not in (_TREE, _ADAPTED, PIECES):
                os.link(f"{source}/{name}", f"{target}/{name}")
    with root.reading():
        row = root.database().execute("SELECT * FROM layer WHERE diff_id=?", (diff_id,)).fetchone()
    with new.transaction() as database:
        database.execute(f"INSERT OR REPLACE INTO layer VALUES({_ROW})", row)
