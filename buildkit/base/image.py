"""From a tree that was laid down to an image in the store.

In: a directory for the root file system and what is to be said of it. Out: an image of one layer,
named. The tree is made where the layer will be, so nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from buildkit.base.skeleton import PATH
from buildkit.exporter.assemble import Entry, assemble, rfc3339
from buildkit.images import ImageStore
from buildkit.oci.config import ContainerConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.store import SnapshotStore
from runtime.values import NamedTuple


class Made(NamedTuple):
    """What filling the directory gave: labels, the newest time (seconds), the default command."""

    labels: Mapping[str, str]
    newest: int
    cmd: tuple[str, ...] | None


def make_image(
    fill: Callable[[str], Made],
    names: Sequence[Reference],
    snapshots: SnapshotStore,
    images: ImageStore,
    *,
    epoch: int | None,
) -> Digest:
    """Let `fill` make the root file system in the directory it is given; return the image's ID.

    `epoch` (SOURCE_DATE_EPOCH, seconds) is the time of the image instead of the newest file's.
    """
    active = snapshots.prepare(None)
    try:
        made = fill(active.upper)
    except BaseException:
        snapshots.discard(active)
        raise
    time = made.newest if epoch is None else epoch
    committed = snapshots.commit(active, clamp=time)
    created = rfc3339(time)
    image = assemble(
        container=ContainerConfig(
            env=(f"PATH={PATH}",),
            cmd=made.cmd,
            labels=(*made.labels.items(), ("org.opencontainers.image.created", created)),
        ),
        platform=Platform.host(),
        entries=(
            Entry(
                created_by=made.labels["io.pybuild.base.command"],
                diff_id=committed.diff_id,
                created=created,
                comment="pybuild base",
            ),
        ),
        epoch=time,
    )
    images.add(image.data, names)
    return image.digest
