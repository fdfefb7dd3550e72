"""Attestations that came with images in an OCI layout.

In: the parts of an archive, the images that were taken out of it. Out: what is said about each of
them, with its ID as the subject, as the store keeps it. Everything is verified by its digest;
artifacts of other kinds, and those about other images, are left where they are.
Source: image-spec manifest.md, `subject`; image-layout.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildkit.archive.load import Loaded
from buildkit.archive.members import Members, read_whole
from buildkit.attestation.statement import (
    IN_TOTO,
    KINDS,
    MAX_STATEMENT,
    AttestationKind,
    parsed,
    statement_of,
)
from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import MAX_DOCUMENT
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from runtime.values import NamedTuple


class Came(NamedTuple):
    """A statement about `image`, a config digest."""

    image: Digest
    kind: AttestationKind
    statement: bytes


def statements_in(members: Members, images: Sequence[Loaded]) -> Iterator[Came]:
    """Yield what is said about `images`. Raises ImageError for what is damaged."""
    if not (members.has("index.json") and members.has("oci-layout")):
        return
    known = {image.manifest: image.digest for image in images if image.manifest is not None}
    index = Index.parse(read_whole(members, "index.json", MAX_DOCUMENT), "index.json")
    for entry in index.manifests:
        if entry.artifact_type != IN_TOTO:
            continue
        manifest = Manifest.parse(_part(members, entry, MAX_DOCUMENT), f"artifact {entry.digest}")
        image = None if manifest.subject is None else known.get(manifest.subject.digest)
        if image is None or len(manifest.layers) != 1:
            continue
        said = parsed(_part(members, manifest.layers[0], MAX_STATEMENT), f"artifact {entry.digest}")
        kind = KINDS.get(said["predicateType"])
        if kind is not None:
            yield Came(image, kind, statement_of(kind, said.get("predicate"), image))


def _part(members: Members, blob: Descriptor, limit: int) -> bytes:
    data = read_whole(members, f"blobs/sha256/{blob.digest.hex}", limit)
    if Digest.of(data) != blob.digest:
        raise ImageError(
            f"{blob.digest} in {members.name} is not what its digest says",
            hint="the archive is damaged; make or fetch it again",
        )
    return data
