"""Images whose files a container is shown: `--mount type=image`.

In: `Wanted` mounts, and how to find an image. Out: `ImageMount` values for the record, and at each
start the layers in which their files are. Imported where there are any.
"""

from __future__ import annotations

import os

from buildkit.containers import record as records
from buildkit.containers.record import ImageMount, Record
from buildkit.errors import UsageError
from buildkit.snapshot.snapshot import Snapshot
from runtime import safepath
from runtime.spec import Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buildkit.containers.mounts import Wanted
    from buildkit.oci.config import ResolvedImage
    from buildkit.snapshot.overlay import OverlayStore
    from runtime.spec import Mount


def found(
    store: OverlayStore, wanted: Sequence[Wanted], find: Callable[[str], ResolvedImage]
) -> tuple[ImageMount, ...]:
    """Return what the mounts of images come to.

    Raises UsageError for an image without files or without what is wanted of it, ImageError.
    """
    return tuple(_found(store, one, find(one.source)) for one in wanted if one.kind == "image")


def _found(store: OverlayStore, wanted: Wanted, image: ResolvedImage) -> ImageMount:
    diff_ids = image.config.diff_ids
    snapshot = Snapshot.of(diff_ids)
    if snapshot is None:
        raise UsageError(f"image {wanted.source} has no files to mount")
    if not store.has(diff_ids):
        raise UsageError(f"the layers of image {wanted.source} are gone", hint="build it again")
    with store.view(snapshot) as tree:
        path = safepath.resolve(tree, wanted.path)
        try:
            os.close(safepath.open_beneath(tree, path, os.O_PATH | os.O_NOFOLLOW))
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise UsageError(f"image {wanted.source}: {wanted.path}: {reason}") from error
    return ImageMount(wanted.target, wanted.source, image.config_digest, diff_ids, path)


def filled(store: OverlayStore, record: Record, mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """Return the mounts of a container with the layers of images where they are now.

    Raises UsageError where these are gone.
    """
    images = {image.target: image for image in record.images}
    return tuple(
        _filled(store, images[mount.target], mount) if isinstance(mount, Layers) else mount
        for mount in mounts
    )


def _filled(store: OverlayStore, image: ImageMount, mount: Layers) -> Layers:
    snapshot = Snapshot.of(records.diff_ids(image.diff_ids))
    if snapshot is None or not store.has(snapshot.diff_ids):
        raise UsageError(f"the layers of image {image.image} are gone")
    return mount._replace(lowers=store.lowers(snapshot), path=image.path.lstrip("/"))
