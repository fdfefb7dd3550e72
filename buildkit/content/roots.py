"""Which blobs a document names, and so keeps alive.

In: the digest of a manifest or an index. Out: it and all blobs it leads to. A document that is not
there, or not to be read, leads nowhere.
"""

from __future__ import annotations

from buildkit.content.store import BlobStore
from buildkit.errors import ImageError, StoreError
from buildkit.oci.digest import Digest
from buildkit.oci.fields import Fields

_MAX_DEPTH = 3


def named_by(store: BlobStore, document: Digest) -> frozenset[Digest]:
    """Return `document` and what it names: configs, layers, manifests and what those name."""
    found = {document}
    _follow(store, document, found, _MAX_DEPTH)
    return frozenset(found)


def _follow(store: BlobStore, document: Digest, found: set[Digest], depth: int) -> None:
    try:
        fields = Fields.parse(store.read(document), "manifest")
        config = fields.object("config")
        manifests = [item.digest("digest") for item in fields.objects("manifests")]
        found.update(item.digest("digest") for item in fields.objects("layers"))
        if config is not None:
            found.add(config.digest("digest"))
    except (StoreError, ImageError):
        return
    for manifest in manifests:
        if depth and manifest not in found:
            found.add(manifest)
            _follow(store, manifest, found, depth - 1)
