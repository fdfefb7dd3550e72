"""Statements about an image that lie in its registry: as artifacts, or within its index.

In: the name of an image. Out: for each statement of the wanted type the digest of what carries it,
what platform it is about, and its bytes, verified and bounded. Those about an index come first,
then those about the images in it. Within an index: as Moby BuildKit has them, a manifest beside
that of the image.
"""

from __future__ import annotations

from collections.abc import Iterator

from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import ABOUT, Index, is_attestation
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import INDEXES, MANIFESTS
from buildkit.oci.reference import Reference
from buildkit.registry.client import Registry
from buildkit.registry.referrers import referrers
from buildkit.registry.repository import Repository

_BLOCK = 1 << 16


def statements_of(
    registry: Registry, reference: Reference, artifact_type: str, limit: int
) -> Iterator[tuple[Digest, str, bytes]]:
    """Yield digests of carriers, platforms, and what they carry, at most `limit` bytes each.

    A platform is empty where the name does not stand for an index.

    Raises NotFoundError for an image that is not there, RegistryError, ImageError.
    """
    repository = registry.home(reference)
    found = repository.manifest(str(reference.digest or reference.tag))
    subjects = [(found.descriptor.digest, "")]
    index = None
    if found.descriptor.media_type in INDEXES:
        index = Index.parse(found.data, f"index of {reference}")
        subjects += [
            (entry.digest, "" if entry.platform is None else str(entry.platform))
            for entry in index.manifests
            if not is_attestation(entry)
        ]
    for subject, platform in subjects:
        for digest, data in statements_about(repository, subject, index, artifact_type, limit):
            yield digest, platform, data


def index_of(repository: Repository, reference: Reference) -> Index | None:
    """Return the index that a reference means, None where that is an image."""
    found = repository.manifest(str(reference.digest or reference.tag))
    if found.descriptor.media_type not in INDEXES:
        return None
    return Index.parse(found.data, f"index of {reference}")


def statements_about(
    repository: Repository,
    subject: Digest,
    index: Index | None,
    artifact_type: str,
    limit: int,
) -> Iterator[tuple[Digest, bytes]]:
    """Yield what there is about a manifest, as `statements_of`; first what `index` has of it."""
    for entry in () if index is None else index.manifests:
        if entry.media_type in MANIFESTS and dict(entry.annotations).get(ABOUT) == subject:
            yield from _within(repository, entry, artifact_type, limit)
    for descriptor in referrers(repository, subject):
        if descriptor.artifact_type == artifact_type:
            yield descriptor.digest, _carried(repository, descriptor, subject, limit)


def _carried(repository: Repository, descriptor: Descriptor, subject: Digest, limit: int) -> bytes:
    found = repository.manifest(descriptor.digest, media_type=descriptor.media_type)
    manifest = Manifest.parse(found.data, f"artifact {descriptor.digest}")
    if manifest.subject is None or manifest.subject.digest != subject:
        raise ImageError(f"artifact {descriptor.digest} is listed and is about something else")
    if len(manifest.layers) != 1 or manifest.layers[0].size > limit:
        raise ImageError(f"artifact {descriptor.digest}: not one statement of a bounded size")
    return _statement(repository, manifest.layers[0], f"artifact {descriptor.digest}")


def _within(
    repository: Repository, entry: Descriptor, media_type: str, limit: int
) -> Iterator[tuple[Digest, bytes]]:
    """Yield the statements of an attestation manifest, which has a layer for each."""
    what = f"attestation {entry.digest}"
    found = repository.manifest(entry.digest, media_type=entry.media_type)
    for layer in Manifest.parse(found.data, what).layers:
        if layer.media_type != media_type:
            continue
        if layer.size > limit:
            raise ImageError(f"{what}: a statement of {layer.size} bytes")
        yield layer.digest, _statement(repository, layer, what)


def _statement(repository: Repository, layer: Descriptor, what: str) -> bytes:
    """Return a statement. Raises ImageError when it is another one."""
    reader = repository.blob(layer)
    try:
        data = b""
        while len(data) <= layer.size and (block := reader.read(_BLOCK)):
            data += block
    finally:
        reader.close()
    if Digest.of(data) != layer.digest:
        raise ImageError(f"{what}: its statement is not {layer.digest}")
    return data
