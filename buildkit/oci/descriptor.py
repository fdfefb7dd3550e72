"""Descriptors: what points from one document to another blob. Source: image-spec descriptor.md."""

from __future__ import annotations

from buildkit.oci.digest import Digest
from buildkit.oci.fields import Fields
from buildkit.oci.platforms import Platform
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Descriptor(NamedTuple):
    """A blob as another document sees it: `size` in bytes; `urls` of foreign layers.

    `platform` stands in indexes only, with `os_version` where an image is for one only.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    artifact_type: str = ""
    os_version: str = ""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Return the descriptor that a JSON object holds. Raises DocumentError."""
        platform = fields.object("platform")
        return cls(
            media_type=fields.text("mediaType", ""),
            digest=fields.digest("digest"),
            size=fields.size("size"),
            annotations=fields.pairs("annotations"),
            platform=None if platform is None else _platform(platform),
            urls=fields.texts("urls"),
            artifact_type=fields.text("artifactType", ""),
            os_version="" if platform is None else platform.text("os.version", ""),
        )

    def document(self) -> dict[str, Any]:
        """Return the JSON object, members in the order of image-spec's Go type."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.urls:
            document["urls"] = list(self.urls)
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations))
        if self.platform is not None:
            document["platform"] = _platform_document(self.platform, self.os_version)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        return document


def _platform(fields: Fields) -> Platform:
    return Platform.normal(
        fields.text("os", ""), fields.text("architecture", ""), fields.text("variant", "")
    )


def _platform_document(platform: Platform, os_version: str) -> dict[str, str]:
    document = {"architecture": platform.architecture, "os": platform.os}
    if os_version:
        document["os.version"] = os_version
    if platform.variant:
        document["variant"] = platform.variant
    return document
