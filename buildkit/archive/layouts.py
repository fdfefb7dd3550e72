"""`oci-layout://DIR[:TAG][@DIGEST]`: an image in a layout directory, as a base or named context.

In: such a reference. Out: the image, its layers in the store. It gets no name there.
"""

from __future__ import annotations

import os

from buildkit.archive.load import take_one
from buildkit.archive.members import Directory
from buildkit.archive.take import Taker
from buildkit.content.local import LocalBlobStore
from buildkit.errors import ImageError
from buildkit.exporter.forms import Forms
from buildkit.oci.config import ResolvedImage
from buildkit.oci.platforms import Platform
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot

SCHEME = "oci-layout://"


def resolve_layout(
    reference: str, platform: Platform, root: StateRoot, snapshots: SnapshotStore
) -> ResolvedImage:
    """Take the image that `reference` means into the store. Raises ImageError."""
    path, wanted = split_layout(reference)
    if not os.path.isfile(os.path.join(path, "index.json")):
        raise ImageError(f"{path} is no image layout: it has no index.json")
    blobs = LocalBlobStore(root)
    taker = Taker(snapshots, blobs, Forms(root, snapshots, blobs))
    image = take_one(Directory(path), wanted, platform, taker)
    return ResolvedImage(reference, image.digest, image.config)


def split_layout(reference: str) -> tuple[str, str]:
    """Return directory and tag or digest (empty: the only image) of a reference."""
    rest = reference.removeprefix(SCHEME)
    path, at, digest = rest.partition("@")
    if at:
        # A tag beside a digest is a remark.
        return path.rpartition(":")[0] if ":" in os.path.basename(path) else path, digest
    if os.path.isdir(path):
        return path, ""
    head, colon, tag = path.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (path, "")
