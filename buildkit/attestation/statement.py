"""Statements about an image, and the artifact that carries one in a registry or a layout.

In: what is said (a predicate) and about what (a digest). Out: an in-toto statement; and an artifact
manifest whose `subject` is the image's manifest, so that the image itself stays as it is. Pure.
Source: in-toto Statement v1; image-spec manifest.md, "Guidelines for Artifact Usage", and its
`subject`; distribution-spec, "Listing Referrers".
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import encode
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import EMPTY, MANIFEST
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias


AttestationKind: TypeAlias = Literal["sbom", "provenance"]

IN_TOTO = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "in-toto.io/predicate-type"
"""The annotation under which Moby BuildKit and cosign look for the type of a predicate."""

PREDICATES: dict[AttestationKind, str] = {
    "sbom": "https://cyclonedx.org/bom",
    "provenance": "https://slsa.dev/provenance/v1",
}
KINDS: dict[str, AttestationKind] = {said: kind for kind, said in PREDICATES.items()}
FILES: dict[AttestationKind, str] = {"sbom": "sbom.cdx.json", "provenance": "provenance.json"}
"""What they are called beside exported files."""

MAX_STATEMENT = 64 << 20
"""Bytes of the largest statement that is read."""

NOTHING = b"{}"
_CREATED = "org.opencontainers.image.created"


class Artifact(NamedTuple):
    """A statement as it leaves: its manifest, and the descriptor of that for indexes."""

    manifest: bytes
    descriptor: Descriptor
    statement: bytes

    @property
    def blobs(self) -> tuple[bytes, bytes]:
        """What the manifest names: the empty config and the statement."""
        return NOTHING, self.statement


def statement_of(
    kind: AttestationKind, predicate: object, subject: Digest, name: str = ""
) -> bytes:
    """Return the statement that `predicate` holds for the content with the digest `subject`."""
    return encode(
        {
            "_type": STATEMENT,
            "subject": [_subject(subject, name)],
            "predicateType": PREDICATES[kind],
            "predicate": predicate,
        }
    )


def parsed(data: bytes, what: str) -> dict[str, Any]:
    """Return the statement in `data`. Raises ImageError for what is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is no statement: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("predicateType"), str):
        raise ImageError(f"{what} is no in-toto statement")
    return found


def is_about(data: bytes, subject: Digest) -> bool:
    """Say whether `subject` is one of the digests that a statement is about."""
    try:
        subjects = json.loads(data)["subject"]
        return any(one["digest"]["sha256"] == subject.hex for one in subjects)
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def artifact_of(
    statement: bytes, subject: Descriptor, names: Sequence[str] = (), created: str = ""
) -> Artifact:
    """Return what carries `statement`, its subject being the manifest `subject` from now on."""
    said = parsed(statement, "an attestation")
    said["subject"] = [_subject(subject.digest, name) for name in names or ("",)]
    data = encode(said)
    annotations: tuple[tuple[str, str], ...] = ((PREDICATE_TYPE, str(said["predicateType"])),)
    layer = Descriptor(IN_TOTO, Digest.of(data), len(data), annotations)
    if created:
        annotations = (*annotations, (_CREATED, created))
    manifest = Manifest(
        config=Descriptor(EMPTY, Digest.of(NOTHING), len(NOTHING)),
        layers=(layer,),
        annotations=annotations,
        artifact_type=IN_TOTO,
        subject=Descriptor(subject.media_type, subject.digest, subject.size),
    ).encode()
    descriptor = Descriptor(
        MANIFEST, Digest.of(manifest), len(manifest), annotations, artifact_type=IN_TOTO
    )
    return Artifact(manifest, descriptor, data)


def _subject(digest: Digest, name: str) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {**named, "digest": {"sha256": digest.hex}}
