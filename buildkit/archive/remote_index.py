"""All images that a name means: from the store, or from a registry into the store.

In: a reference, a policy. Out: the index, or the image where there is but one, in the store with
all its layers. As `remote.py` for one platform.
"""

from __future__ import annotations

from buildkit.archive.combine import Combiner
from buildkit.archive.remote import PullPolicy
from buildkit.archive.stores import Stores
from buildkit.errors import Cancelled, ImageError
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index, is_attestation
from buildkit.oci.media_types import MANIFESTS
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Warned
from buildkit.registry.client import Registry
from buildkit.registry.errors import RegistryError
from buildkit.registry.pull import newest
from buildkit.registry.remembered import recall


def obtain_all(
    reference: Reference, policy: PullPolicy, stores: Stores, registry: Registry, emit: Emit
) -> Digest:
    """Return the ID of the index or image that `reference` means, with all its images here.

    The policies are those of `remote.obtain`; a name that stands for one image of an index is not
    all of it. Raises ImageError, RegistryError, StoreError, Cancelled.
    """
    here = None if policy == "always" else local_whole(reference, stores)
    if policy == "missing" and here is not None:
        return here
    if policy == "never":
        return here or _refused(reference, stores)
    combiner = Combiner(stores, registry, emit)
    if here is None:
        return combiner.pull_all(reference)
    try:
        top = newest(registry, reference)
        if top is None or top in (here, stores.images.manifest(here)):
            return here
        return combiner.pull_all(reference)
    except Cancelled:
        raise
    except (RegistryError, ImageError) as error:
        emit(Warned(f"{reference.familiar}: taken as it is here, for {error.message}"))
        return here


def local_whole(reference: Reference, stores: Stores) -> Digest | None:
    """Return the index, or the image, if all that the name means is in the store."""
    images = stores.images
    try:
        found = images.identify(str(reference))
        if not images.is_index(found):
            return found if _is_all(reference, found, stores) else None
        index = Index.parse(stores.blobs.read(found), f"index {found}")
        entries = [
            one
            for one in index.manifests
            if one.media_type in MANIFESTS and not is_attestation(one)
        ]
        parts = images.parts(found)
        layers = [diff_id for one in parts for diff_id in images.config(one.image).diff_ids]
    except ImageError:
        return None
    whole = len(parts) == len(entries) and stores.snapshots.has(tuple(dict.fromkeys(layers)))
    return found if whole else None


def _is_all(reference: Reference, image: Digest, stores: Stores) -> bool:
    """Say whether an image is here, and was not taken out of an index when it was pulled."""
    config = stores.images.config(image)
    if not stores.snapshots.has(config.diff_ids):
        return False
    manifest = stores.images.manifest(image)
    tops = [recall(stores.root, reference, one) for one in (config.platform, Platform.host())]
    return all(top is None or top.image != image or top.top == manifest for top in tops)


def _refused(reference: Reference, stores: Stores) -> Digest:
    stores.images.identify(str(reference))  # the store's own words for what it has not
    raise ImageError(
        f"not all images of {reference.familiar} are in the local store",
        hint="--policy=missing asks its registry for the others",
    )
