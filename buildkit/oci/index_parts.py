"""Indexes of the local store: one name for images of several platforms.

In: the digest of an index in the store. Out: its parts, the images among them, and the one that
is meant. In the database an index is an image whose manifest is itself, so names, leases and
collection know it as they know an image. Source: image-spec image-index.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from buildkit.errors import ImageError, StoreError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index, is_attestation
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import MANIFESTS
from buildkit.oci.platforms import Platform
from runtime.values import NamedTuple

Read = Callable[[Digest], bytes]
"""Reads a blob of the store."""


class Part(NamedTuple):
    """An image of an index: what the index says of its manifest, and the image's ID."""

    entry: Descriptor
    image: Digest


def parts_of(index: Digest, read: Read) -> tuple[Part, ...]:
    """Return the images of `index` whose manifests are here, in its order.

    Raises StoreError, ImageError when the index itself cannot be read.
    """
    found = []
    for entry in Index.parse(read(index), f"index {index}").manifests:
        if is_attestation(entry) or entry.media_type not in MANIFESTS:
            continue
        try:
            manifest = Manifest.parse(read(entry.digest), f"manifest {entry.digest}")
        except (StoreError, ImageError):
            continue  # of a platform that was not taken along
        found.append(Part(entry, manifest.config.digest))
    return tuple(found)


def chosen(
    parts: Iterable[Part], platform: Platform | None, what: str, *, strict: bool = True
) -> Part:
    """Return the part for `platform`, None for this machine's or the only one. Raises ImageError.

    `strict` False: the first one where there is none for it.
    """
    here = tuple(parts)
    if platform is None and len(here) == 1:
        return here[0]  # like an image that is in no index
    wanted = platform or Platform.host()
    entry = Index(tuple(part.entry for part in here)).choose(wanted)
    for part in here:
        if part.entry == entry:
            return part
    if here and not strict:
        return here[0]
    hint = f"it has: {', '.join(names_of(here))}" if here else "none of its images is here"
    raise ImageError(f"{what} has no image for {wanted}", hint=hint)


def names_of(parts: Iterable[Part]) -> tuple[str, ...]:
    """Return the platforms of `parts` as text, in their order."""
    return tuple(str(part.entry.platform or "unknown") for part in parts)
