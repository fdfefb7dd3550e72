"""Attestations of images that were pulled, out of their registry into the store.

In: an open registry client, a reference, the images by their manifests. Out: the statements about
them, kept as if they had been made here: one of each kind (of several the one that is listed last),
with the image's ID as the subject. Those of kinds that the store does not know stay where they are,
which is told. Source: image-spec manifest.md, `subject`; distribution-spec 1.1, "Listing
Referrers".
"""

from __future__ import annotations

from collections.abc import Mapping

from buildkit.archive.stores import Stores
from buildkit.attestation.kept import keep
from buildkit.attestation.statement import (
    IN_TOTO,
    KINDS,
    MAX_STATEMENT,
    parsed,
    statement_of,
)
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note
from buildkit.registry.client import Registry
from buildkit.registry.statements import index_of, statements_about


def pull_statements(
    registry: Registry,
    reference: Reference,
    images: Mapping[Digest, Digest],
    stores: Stores,
    emit: Emit,
) -> None:
    """Keep what the registry has about `images`, IDs by manifest.

    Raises RegistryError, ImageError for what is not a statement.
    """
    repository = registry.home(reference)
    index = index_of(repository, reference)
    for manifest, image in images.items():
        about = f"about {image.hex[:12]}"
        found = False
        for artifact, data in statements_about(repository, manifest, index, IN_TOTO, MAX_STATEMENT):
            said = parsed(data, f"artifact {artifact}")
            kind = KINDS.get(said["predicateType"])
            if kind is None:
                emit(Note(f"left {artifact} {about}, a {said['predicateType'][:80]!r}"))
                continue
            found = True
            statement = statement_of(kind, said.get("predicate"), image)
            keep(stores.root, stores.blobs, image, kind, statement)
            emit(Note(f"kept {kind} {about}"))
        if not found:
            emit(Note(f"no attestation {about} at {repository.name}"))
