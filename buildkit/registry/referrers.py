"""What refers to a manifest: artifacts with it as their subject.

In: a repository, a digest. Out: descriptors of the artifacts. A registry that does not keep the
list itself has it under a tag, `sha256-HEX`, which whoever pushes has to see to.
Source: distribution-spec 1.1, "Listing Referrers", "Pushing Manifests with Subject", "Unavailable
Referrers API". A registry that keeps the list says so by `OCI-Subject` when it takes an artifact.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.media_types import INDEX
from buildkit.registry.errors import NotFoundError
from buildkit.registry.repository import Repository


def referrers(repository: Repository, subject: Digest) -> tuple[Descriptor, ...]:
    """Return what refers to `subject`. Raises RegistryError, ImageError."""
    listed = repository.referrers(subject)
    if listed is not None:
        return Index.parse(listed, f"referrers of {subject}").manifests
    return _tagged(repository, subject)


def attach(
    repository: Repository, manifest: bytes, descriptor: Descriptor, subject: Digest
) -> None:
    """Put an artifact about `subject`, all blobs of which are there. Raises RegistryError."""
    if repository.put_referrer(manifest, descriptor, subject):
        return
    known = _tagged(repository, subject)
    if any(one.digest == descriptor.digest for one in known):
        return
    _put_tag(repository, subject, (*known, descriptor))


def tag_of(subject: Digest) -> str:
    """Return the tag that stands in for the list."""
    return f"sha256-{subject.hex}"


def _tagged(repository: Repository, subject: Digest) -> tuple[Descriptor, ...]:
    try:
        found = repository.manifest(tag_of(subject), media_type=INDEX)
    except NotFoundError:
        return ()
    return Index.parse(found.data, f"referrers of {subject}").manifests


def _put_tag(repository: Repository, subject: Digest, known: Sequence[Descriptor]) -> None:
    data = Index(manifests=tuple(known)).encode()
    repository.put_manifest(tag_of(subject), data, INDEX)
