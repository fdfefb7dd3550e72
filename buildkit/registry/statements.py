"""Statements about an image that lie in its registry as artifacts.

In: the name of an image. Out: for each artifact of the wanted type its digest, what platform it is
about, and its statement, verified and bounded. Those about an index come first, then those about
the images in it.
"""

from collections.abc import Iterator

from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index, is_attestation
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import INDEXES
from buildkit.oci.reference import Reference
from buildkit.registry.client import Registry
from buildkit.registry.referrers import referrers
from buildkit.registry.repository import Repository

_BLOCK = 1 << 16


def statements_of(
    registry: Registry, reference: Reference, artifact_type: str, limit: int
) -> Iterator[tuple[Digest, str, bytes]]:
    """Yield digests of artifacts, platforms, and what they carry, at most `limit` bytes each.

    A platform is empty where the name does not stand for an index.

    Raises NotFoundError for an image that is not there, RegistryError, ImageError.
    """
    repository = registry.home(reference)
    found = repository.manifest(str(reference.digest or reference.tag))
    subjects = [(found.descriptor.digest, "")]
    if found.descriptor.media_type in INDEXES:
        index = Index.parse(found.data, f"index of {reference}")
        subjects += [
            (entry.digest, "" if entry.platform is None else str(entry.platform))
            for entry in index.manifests
            if not is_attestation(entry)
        ]
    for subject, platform in subjects:
        for digest, data in statements_about(repository, subject, artifact_type, limit):
            yield digest, platform, data


def statements_about(
    repository: Repository, subject: Digest, artifact_type: str, limit: int
) -> Iterator[tuple[Digest, bytes]]:
    """Yield the digests of artifacts about a manifest and what they carry, as `statements_of`."""
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
    (layer,) = manifest.layers
    reader = repository.blob(layer)
    try:
        data = b""
        while len(data) <= layer.size and (block := reader.read(_BLOCK)):
            data += block
    finally:
        reader.close()
    if Digest.of(data) != layer.digest:
        raise ImageError(f"artifact {descriptor.digest}: its statement is not {layer.digest}")
    return data
