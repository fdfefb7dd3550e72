"""Images by name: from the store, or from a registry into the store, as the user wants it.

In: a reference, a platform, a policy. Out: the image, its layers in the store. What a name meant at
a registry is remembered, so that the store can answer the next time, also for digests of indexes
and for several platforms of one name. Imports nothing of the network before it is needed.
"""

from __future__ import annotations

from buildkit.errors import Cancelled, ImageError
from buildkit.oci.config import ResolvedImage
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Warned
from buildkit.registry.errors import RegistryError
from buildkit.registry.remembered import recall
from runtime.typed import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from buildkit.archive.stores import Stores
    from buildkit.oci.platforms import Platform
    from buildkit.registry.client import Access

PullPolicy: TypeAlias = Literal["always", "missing", "never", "newer"]
Pull: TypeAlias = "Callable[[Reference, Platform], ResolvedImage]"
"""Gets an image from its registry, as `pulled.pull_image` does."""


def obtain(
    text: str,
    platform: Platform,
    policy: PullPolicy,
    stores: Stores,
    emit: Emit,
    cancel: Cancel | None,
    access: Access | None = None,
    pull: Pull | None = None,
) -> ResolvedImage:
    """Return the image that `text` (a name, or an ID of the store) means.

    `missing` asks a registry for what is not here, `newer` also for what may have changed (but
    does without an answer), `always` whatever is here, `never` nothing. Raises ImageError,
    RegistryError, Cancelled.
    """
    if policy != "always":
        here = local_image(text, platform, stores)
        if policy == "never" or (here is not None and policy == "missing"):
            # The store's own words for what it has not.
            return here or stores.images.find(text, platform)
    else:
        here = None
    try:
        reference = Reference.parse(text)
    except ValueError as error:
        if here is not None:
            return here
        raise ImageError(str(error), hint="pybuild images lists what is here") from error
    always = policy == "always"
    if cancel is not None:
        return _asked(reference, platform, here, stores, emit, cancel, access, pull, always=always)
    with Cancel() as own:
        return _asked(reference, platform, here, stores, emit, own, access, pull, always=always)


def local_image(text: str, platform: Platform, stores: Stores) -> ResolvedImage | None:
    """Return the image if it is in the store, with its layers and for `platform`."""
    found: ResolvedImage | None = None
    try:
        found = stores.images.find(text, platform)
    except ImageError:
        pass
    try:
        reference = Reference.parse(text)
    except ValueError:
        reference = None
    if found is not None and (reference is None or fits(found.config.platform, platform)):
        return found if stores.snapshots.has(found.config.diff_ids) else None
    known = None if reference is None else recall(stores.root, reference, platform)
    if known is None or reference is None or not stores.blobs.has(known.image):
        return None
    config = stores.images.config(known.image)
    if not stores.snapshots.has(config.diff_ids):
        return None
    return ResolvedImage(str(reference), known.image, config)


def fits(here: Platform, wanted: Platform) -> bool:
    """Say whether an image for the platform `here` will do where `wanted` is asked for."""
    return here in wanted.choices()


def _asked(
    reference: Reference,
    platform: Platform,
    here: ResolvedImage | None,
    stores: Stores,
    emit: Emit,
    cancel: Cancel,
    access: Access | None,
    pull: Pull | None,
    *,
    always: bool,
) -> ResolvedImage:
    """Ask the registry; `here` is good enough when that does not answer."""
    # urllib3 and ssl, 80 ms: only when the network is needed
    from buildkit.archive.pulled import is_current, pull_image
    from buildkit.registry.client import Registry

    with Registry(cancel, access, emit=emit) as registry:
        try:
            if here is not None and is_current(registry, reference, platform, here, stores.root):
                return here
            if pull is not None:
                return pull(reference, platform)
            return pull_image(registry, reference, platform, stores, emit)
        except Cancelled:
            raise
        except (RegistryError, ImageError) as error:
            found = here
            if found is None and not always:
                found = _for_another_platform(reference, platform, stores)
            if found is None:
                raise
            emit(Warned(f"{reference.familiar}: taken as it is here, for {error.message}"))
            return found


def _for_another_platform(
    reference: Reference, platform: Platform, stores: Stores
) -> ResolvedImage | None:
    """Return the image of the name here, whatever it is for: better than nothing.

    Of an index none will do but the one for `platform`.
    """
    try:
        found = stores.images.find(str(reference), platform)
    except ImageError:
        return None
    return found if stores.snapshots.has(found.config.diff_ids) else None
