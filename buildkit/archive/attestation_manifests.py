"""Attestations among the entries of an index, taken into the store with it.

In: an index, and the registry it is at. Out: their manifests and blobs in the store, verified. One
that is not there, or not what it says, is left out with a warning: the images are whole without it.
"""

from __future__ import annotations

from buildkit.attestation.statement import MAX_STATEMENT
from buildkit.content.store import BlobStore
from buildkit.errors import Cancelled, ImageError
from buildkit.exporter.attestation_manifests import entries_of
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Warned
from buildkit.registry.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:  # `load` has no registry
    from buildkit.registry.client import Registry
    from buildkit.registry.repository import Repository


def pull_attestations(
    registry: Registry, reference: Reference, index: Index, blobs: BlobStore, emit: Emit
) -> None:
    """Take the attestations of an index from its registry, mirrors first. Raises Cancelled."""
    sources = registry.sources(reference)
    for entry in entries_of(index):
        for repository in sources:
            try:
                _pull(repository, entry, blobs)
                break
            except Cancelled:
                raise
            except (RegistryError, ImageError) as error:
                if repository is sources[-1]:
                    emit(Warned(f"attestation {entry.digest} was left: {error.message}"))


def named_in(data: bytes, entry: Descriptor) -> tuple[Descriptor, ...]:
    """Return what an attestation's manifest names, each once. Raises ImageError."""
    manifest = Manifest.parse(data, f"attestation {entry.digest}")
    named = {one.digest: one for one in (manifest.config, *manifest.layers)}
    for one in named.values():
        if one.size > MAX_STATEMENT:
            raise ImageError(f"attestation {entry.digest}: a statement of {one.size} bytes")
    return tuple(named.values())


def _pull(repository: Repository, entry: Descriptor, blobs: BlobStore) -> None:
    found = repository.manifest(entry.digest, media_type=entry.media_type)
    for one in named_in(found.data, entry):
        if blobs.has(one.digest):
            continue
        reader = repository.blob(one)
        try:
            blobs.put(reader, expected=one.digest, size=one.size)
        finally:
            reader.close()
    blobs.put_bytes(found.data)
