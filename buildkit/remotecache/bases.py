"""Base images of a build that draws on shared caches: their layers come when they are needed.

In: references. Out: what they mean, by manifest and config alone; the layers are offered together
with those of the caches. A stage whose steps are all found elsewhere so fetches nothing of its
base. An image of which all layers were fetched in the end is named in the store, as a pull does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from buildkit.archive.pulled import choose, keep
from buildkit.content.local import LocalBlobStore
from buildkit.content.streams import Reader
from buildkit.images import ImageStore
from buildkit.oci.config import ResolvedImage
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit
from buildkit.registry.client import Registry
from buildkit.registry.pull import Chosen
from buildkit.registry.repository import Repository
from buildkit.remotecache.layers import SharedLayers
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple


class Bases:
    """Base images that were asked for; the client goes on `stack`."""

    def __init__(
        self, root: StateRoot, layers: SharedLayers, emit: Emit, cancel: Cancel, stack: ExitStack
    ) -> None:
        self._registry = stack.enter_context(Registry(cancel, emit=emit))
        self._stores = _Stores(root, OverlayStore(root), LocalBlobStore(root), ImageStore(root))
        self._layers = layers
        self._emit = emit
        self._pulled: list[tuple[Chosen, Platform]] = []

    def pull(self, reference: Reference, platform: Platform) -> ResolvedImage:
        """Return what the reference means. Raises RegistryError, ImageError, Cancelled."""
        chosen = choose(self._registry, reference, platform, self._emit)
        layers = dict(zip(chosen.config.diff_ids, chosen.document.layers, strict=True))
        for repository in chosen.sources:
            self._layers.add(_Source(repository, reference.familiar), layers)
        # The base of an image is looked for again, by its ID.
        self._stores.blobs.put_bytes(chosen.data)
        self._pulled.append((chosen, platform))
        return ResolvedImage(str(reference), chosen.digest, chosen.config)

    def keep(self) -> None:
        """Name the images of which all is here."""
        for chosen, platform in self._pulled:
            if self._stores.snapshots.has(chosen.config.diff_ids):
                keep(chosen, platform, self._stores)


class _Stores(NamedTuple):
    root: StateRoot
    snapshots: OverlayStore
    blobs: LocalBlobStore
    images: ImageStore


class _Source:
    """One repository that has the layers of an image."""

    def __init__(self, repository: Repository, name: str) -> None:
        self.name = name
        self._repository = repository

    @contextmanager
    def open(self, layer: Descriptor) -> Iterator[Reader]:
        """See `BlobReader`."""
        what = f"layer {layer.digest.hex[:12]} of {self._repository.name}"
        reader = self._repository.blob(layer, what=what)
        try:
            yield reader
        finally:
            reader.close()
