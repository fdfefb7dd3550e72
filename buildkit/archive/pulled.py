"""An image from a registry into the store: layers, documents, then the name.

In: an open registry client, a reference, a platform. Out: the image. Nothing of it is listed
before all of it is there, verified and durable (docs/security.md, R1, R2).
"""

from __future__ import annotations

from buildkit.archive.stores import Stores
from buildkit.archive.stream import StreamTaker
from buildkit.errors import ImageError
from buildkit.exporter.forms import Forms
from buildkit.oci.config import ResolvedImage
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note, Warned
from buildkit.registry.client import Registry
from buildkit.registry.pull import Chosen, fetch, newest, resolve
from buildkit.registry.remembered import Remembered, recall, remember
from buildkit.state.root import StateRoot


def pull_image(
    registry: Registry, reference: Reference, platform: Platform, stores: Stores, emit: Emit
) -> ResolvedImage:
    """Pull and name the image. Raises RegistryError, ImageError, StoreError, Cancelled.

    A reference with a digest gives no name. A name that stands for the index that the image was
    taken out of goes on standing for that.
    """
    chosen = choose(registry, reference, platform, emit)
    taker = StreamTaker(
        stores.snapshots, stores.blobs, Forms(stores.root, stores.snapshots, stores.blobs)
    )
    fetch(chosen, registry, taker, emit)
    keep(chosen, platform, stores)
    return ResolvedImage(str(reference), chosen.digest, chosen.config)


def choose(registry: Registry, reference: Reference, platform: Platform, emit: Emit) -> Chosen:
    """Return what the reference means; tell what that is. Raises as `pull_image`."""
    chosen = resolve(registry, reference, platform, emit)
    own = chosen.config.platform
    if own[:2] != platform[:2]:
        emit(Warned(f"{reference.familiar} is for {own}, not for {platform}"))
    emit(Note(f"{reference.familiar} is {chosen.top}"))
    return chosen


def keep(chosen: Chosen, platform: Platform, stores: Stores) -> None:
    """Name the image, whose layers are in the store."""
    reference = chosen.reference
    stores.blobs.put_bytes(chosen.data)
    manifest = stores.blobs.put_bytes(chosen.manifest.data).digest
    names = () if reference.digest is not None or _is_index(chosen, stores) else (reference,)
    stores.images.add(chosen.data, names, manifest=manifest)
    blobs = (chosen.digest, *(layer.digest for layer in chosen.document.layers))
    remembered = Remembered(chosen.top, chosen.digest, blobs)
    remember(stores.root, reference, platform, remembered)


def _is_index(chosen: Chosen, stores: Stores) -> bool:
    """Say whether the name stands for the index already that it means at the registry."""
    try:
        return stores.images.identify(str(chosen.reference)) == chosen.top and (
            stores.images.is_index(chosen.top)
        )
    except ImageError:
        return False


def is_current(
    registry: Registry,
    reference: Reference,
    platform: Platform,
    here: ResolvedImage,
    root: StateRoot,
) -> bool:
    """Say whether `reference` still is the image `here`, or there is none at the registry."""
    top = newest(registry, reference)
    known = recall(root, reference, platform)
    return top is None or (
        known is not None and known.top == top and known.image == here.config_digest
    )
