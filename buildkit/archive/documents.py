"""Docker's `manifest.json`, and what an image manifest must be like to be loaded.

In: bytes, or a manifest. Out: values. Whatever is missing or of the wrong type is a DocumentError
that names the place (docs/security.md, S20, S23). Source: moby image-spec v1.2.
"""

from __future__ import annotations

from buildkit.errors import ImageError
from buildkit.oci.fields import DocumentError, Fields
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import layer_compression
from runtime.values import NamedTuple

_MAX_LAYERS = 1000


class DockerEntry(NamedTuple):
    """One image of a `manifest.json`: names of parts, and the image's names."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


def parse_docker(data: bytes, name: str) -> tuple[DockerEntry, ...]:
    """Return the images that docker's `manifest.json`, an array, describes."""
    # The limits of Fields are for objects; in one, the array is a member like any other.
    fields = Fields.parse(b'{"images":' + data + b"}", name)
    entries = tuple(
        DockerEntry(item.text("Config"), item.texts("RepoTags"), item.texts("Layers"))
        for item in fields.objects("images")
    )
    if not entries:
        raise ImageError(f"{name} names no image")
    return entries


def image_manifest(data: bytes, name: str) -> Manifest:
    """Return the manifest in `data`, which must be that of an image with layers known here."""
    manifest = Manifest.parse(data, name)
    if len(manifest.layers) > _MAX_LAYERS:
        raise DocumentError(f"{name}.layers: more than {_MAX_LAYERS}")
    for number, layer in enumerate(manifest.layers):
        if layer_compression(layer.media_type) is None:
            raise DocumentError(
                f"{name}.layers[{number}].mediaType: {layer.media_type!r} is no layer"
            )
    return manifest
