"""The images of the local store, listed.

In: the store. Out: its images and indexes. One is listed only when all of it is there to be
trusted, so a power cut leaves none that is torn (docs/security.md, R1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from buildkit.errors import ImageError, StoreError
from buildkit.images import ImageStore, having
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.index_parts import Part, chosen, names_of
from buildkit.snapshot.layers import Layers
from runtime.values import NamedTuple


class ListedImage(NamedTuple):
    """An image of the store. `names` in canonical form, sorted; `size` in bytes, of all layers.

    `added`: seconds since the epoch. `manifest`: of the image as it came from elsewhere. Of an
    index, `platforms` are those of its images, `config` is that of one of them, and the manifest is
    the index. `within`: it has no name, but an index has it.
    """

    digest: Digest
    names: tuple[str, ...]
    config: ImageConfig
    size: int
    added: float
    manifest: Digest | None
    platforms: tuple[str, ...] = ()
    within: bool = False


def listed(images: ImageStore) -> Iterator[ListedImage]:
    """Yield all whole images, the newest first."""
    with images.root.reading():
        database = images.root.database()
        rows = database.execute(
            "SELECT config, manifest, created FROM known_image ORDER BY created DESC"
        ).fetchall()
        sizes = dict(database.execute("SELECT diff_id, size FROM layer"))
    indexes = images.indexes()
    layers = Layers(images.root)
    for text, manifest, added in rows:
        digest = Digest.parse(text)
        came = None if manifest is None else Digest.parse(manifest)
        try:
            found = _listed(images, layers, digest, sizes, indexes)
        except (StoreError, ImageError):
            continue
        if found is not None:
            yield found._replace(added=added, manifest=came)


def _listed(
    images: ImageStore,
    layers: Layers,
    digest: Digest,
    sizes: Mapping[str, int],
    indexes: Mapping[Digest, Sequence[Part]],
) -> ListedImage | None:
    """Return what is listed of an image or index, None for one that is not whole."""
    parts = indexes.get(digest)
    platforms: tuple[str, ...] = ()
    members = [digest]
    if parts is not None:
        first = chosen(parts, None, digest, strict=False)
        members = [first.image, *(part.image for part in parts if part is not first)]
        platforms = names_of(parts)
    configs = [images.glance(image) for image in members]
    needed = tuple(dict.fromkeys(diff_id for config in configs for diff_id in config.diff_ids))
    if not layers.are_trusted(needed):
        return None
    names = images.names(digest)
    counted = needed if parts is not None else configs[0].diff_ids
    return ListedImage(
        digest=digest,
        names=names,
        config=configs[0],
        size=sum(sizes.get(diff_id, 0) for diff_id in counted),
        added=0.0,
        manifest=None,
        platforms=platforms,
        within=not names and having(digest, indexes) is not None,
    )
