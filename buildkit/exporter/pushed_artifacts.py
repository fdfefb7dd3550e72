"""What is kept about an image goes to a registry along with it, as referrers of its manifest.

In: the artifacts that `attached.py` makes. Source: distribution-spec, "Pushing Manifests with
Subject".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from buildkit.attestation.statement import Artifact
from buildkit.oci.digest import Digest
from buildkit.progress.events import Emit, Note
from buildkit.registry.referrers import attach
from buildkit.registry.repository import Repository
from buildkit.registry.uploads import Source


def push_artifacts(
    repository: Repository, artifacts: tuple[Artifact, ...], subject: Digest, emit: Emit
) -> None:
    """Push artifacts about the manifest `subject`, which is there. Raises RegistryError."""
    for artifact in artifacts:
        for data in artifact.blobs:
            digest = Digest.of(data)
            if not repository.has_blob(digest):
                what = f"pushing attestation {digest.hex[:12]}"
                repository.put_blob(Source(digest, len(data), partial(_from, data), what))
        attach(repository, artifact.manifest, artifact.descriptor, subject)
        emit(Note(f"pushed attestation {artifact.descriptor.digest}"))


def _from(data: bytes, offset: int) -> Iterator[bytes]:
    yield data[offset:]
