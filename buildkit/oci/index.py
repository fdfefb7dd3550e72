"""The image index: manifests, one a platform. Source: image-spec image-index.md; Docker's list."""

from __future__ import annotations

from buildkit.oci.descriptor import Descriptor
from buildkit.oci.fields import DocumentError, Fields, encode
from buildkit.oci.manifest import check_version
from buildkit.oci.media_types import INDEX, INDEXES
from buildkit.oci.platforms import Platform
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


REF_NAME = "org.opencontainers.image.ref.name"
ABOUT = "vnd.docker.reference.digest"
"""The annotation by which Moby BuildKit says which manifest an attestation is about."""

_ATTESTATION = "vnd.docker.reference.type"


class Index(NamedTuple):
    """An index; the `index.json` of a layout is one too."""

    manifests: tuple[Descriptor, ...]
    media_type: str = INDEX
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    subject: Descriptor | None = None

    @classmethod
    def parse(cls, data: bytes, name: str = "index") -> Self:
        """Return the index that `data` holds. Raises DocumentError."""
        fields = Fields.parse(data, name)
        check_version(fields)
        if "layers" in fields.data or "config" in fields.data:
            raise DocumentError(f"{name}: is a manifest and an index at once")
        media_type = fields.text("mediaType", "") or INDEX
        if media_type not in INDEXES:
            raise DocumentError(f"{name}.mediaType: {media_type!r} is not an index's")
        subject = fields.object("subject")
        return cls(
            manifests=tuple(Descriptor.of(item) for item in fields.objects("manifests")),
            media_type=media_type,
            annotations=fields.pairs("annotations"),
            artifact_type=fields.text("artifactType", ""),
            subject=None if subject is None else Descriptor.of(subject),
        )

    def encode(self) -> bytes:
        """Return the document: the same bytes for the same value."""
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        document["manifests"] = [manifest.document() for manifest in self.manifests]
        if self.subject is not None:
            document["subject"] = self.subject.document()
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations))
        return encode(document)

    def choose(self, wanted: Platform) -> Descriptor | None:
        """Return the manifest for `wanted`, else the first of what will do there as well.

        A manifest without a platform fits when it is the only one. Attestations never do.
        """
        images = [item for item in self.manifests if not is_attestation(item)]
        if len(images) == 1 and images[0].platform is None:
            return images[0]
        for choice in wanted.choices():
            for item in images:
                if item.platform == choice:
                    return item
        return None

    def hint(self) -> str:
        """Return which platforms there are images for, for who asked for another one."""
        images = [item for item in self.manifests if not is_attestation(item)]
        names = sorted({str(item.platform) for item in images if item.platform is not None})
        return f"it has: {', '.join(names)}" if names else "it has no image that is for a platform"


def is_attestation(descriptor: Descriptor) -> bool:
    """Say whether a descriptor in an index is a remark on another one and no image."""
    if descriptor.artifact_type:
        return True
    return any(key == _ATTESTATION for key, _ in descriptor.annotations)
