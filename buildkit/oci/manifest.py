"""The image manifest: one config, its layers. Source: image-spec manifest.md; Docker's schema 2."""

from __future__ import annotations

from buildkit.oci.descriptor import Descriptor
from buildkit.oci.fields import DocumentError, Fields, encode
from buildkit.oci.media_types import DOCKER_MANIFEST, MANIFEST, MANIFESTS
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Manifest(NamedTuple):
    """A manifest; `layers` bottom-most first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = MANIFEST
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    subject: Descriptor | None = None

    @classmethod
    def parse(cls, data: bytes, name: str = "manifest") -> Self:
        """Return the manifest that `data` holds. Raises DocumentError."""
        fields = Fields.parse(data, name)
        check_version(fields)
        if "manifests" in fields.data:
            raise DocumentError(f"{name}: is a manifest and an index at once")
        config = fields.object("config")
        if config is None:
            raise DocumentError(f"{name}.config: missing")
        media_type = fields.text("mediaType", "")
        config_descriptor = Descriptor.of(config)
        if media_type and media_type not in MANIFESTS:
            raise DocumentError(f"{name}.mediaType: {media_type!r} is not a manifest's")
        if not media_type and config_descriptor.media_type.startswith("application/vnd.docker."):
            media_type = DOCKER_MANIFEST
        subject = fields.object("subject")
        return cls(
            config=config_descriptor,
            layers=tuple(Descriptor.of(layer) for layer in fields.objects("layers")),
            media_type=media_type or MANIFEST,
            annotations=fields.pairs("annotations"),
            artifact_type=fields.text("artifactType", ""),
            subject=None if subject is None else Descriptor.of(subject),
        )

    def encode(self) -> bytes:
        """Return the document: the same bytes for the same value."""
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        document["config"] = self.config.document()
        document["layers"] = [layer.document() for layer in self.layers]
        if self.subject is not None:
            document["subject"] = self.subject.document()
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations))
        return encode(document)


def check_version(fields: Fields) -> None:
    """Raise DocumentError for another schema than 2."""
    found = fields.integer("schemaVersion", 2)
    if found != 2:
        raise DocumentError(f"{fields.path}.schemaVersion: {found}, only 2 is understood")
