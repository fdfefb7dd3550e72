"""Media types of manifests, indexes, configs and layers, and what they say about compression.

Source: image-spec media-types.md; distribution's schema2 for Docker's own.
"""

from __future__ import annotations

from runtime.typed import Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Compression: TypeAlias = Literal["none", "gzip", "zstd"]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({INDEX, DOCKER_LIST})
CONFIGS = frozenset({CONFIG, DOCKER_CONFIG})

_COMPRESSIONS: dict[str, Compression] = {
    LAYER: "none",
    LAYER + "+gzip": "gzip",
    LAYER + "+zstd": "zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "none",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER + ".gzip": "gzip",
    DOCKER_LAYER + ".zstd": "zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}


def layer_compression(media_type: str) -> Compression | None:
    """Return how a layer of `media_type` is compressed, None when it is no layer at all."""
    return _COMPRESSIONS.get(media_type)


def layer_type(compression: Compression, *, docker: bool = False) -> str:
    """Return the media type of a layer with `compression`."""
    if compression == "none":
        return DOCKER_LAYER if docker else LAYER
    return f"{DOCKER_LAYER}.{compression}" if docker else f"{LAYER}+{compression}"
