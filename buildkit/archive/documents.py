"""The documents in image archives, as far as loading needs them.

In: bytes of an index, a manifest, or docker's `manifest.json`. Out: values. Whatever is missing,
of the wrong type, or of two kinds at once is a DocumentError that names the place (security
guarantees S20, S23).
"""

from collections.abc import Mapping
from typing import NamedTuple

from buildkit.errors import ImageError
from buildkit.oci.digest import Digest
from buildkit.oci.fields import DocumentError, Fields
from buildkit.oci.media_types import INDEXES, MANIFESTS, layer_compression
from buildkit.oci.platforms import Platform

_MAX_LAYERS = 1000
_UNKNOWN = "unknown"


class Blob(NamedTuple):
    """A descriptor: what to find under `digest`. `platform` None: not said, or none to run on."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str]
    platform: Platform | None = None
    attestation: bool = False


class ManifestDocument(NamedTuple):
    """An image manifest: its config and its layers, bottom-most first."""

    media_type: str
    config: Blob
    layers: tuple[Blob, ...]


class DockerEntry(NamedTuple):
    """One image of a `manifest.json`: names of parts, and the image's names."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


def parse_index(data: bytes, name: str) -> tuple[Blob, ...]:
    """Return the descriptors of an index."""
    fields = Fields.parse(data, name)
    _schema(fields)
    if "layers" in fields.data or "config" in fields.data:
        raise DocumentError(f"{name}: an index that is a manifest, too")
    media_type = fields.text("mediaType", "")
    if media_type and media_type not in INDEXES:
        raise DocumentError(f"{name}.mediaType: {media_type!r} is not an index")
    return tuple(_blob(item) for item in fields.objects("manifests"))


def parse_manifest(data: bytes, media_type: str, name: str) -> ManifestDocument:
    """Return what an image manifest says; `media_type` is what led to it."""
    fields = Fields.parse(data, name)
    _schema(fields)
    if "manifests" in fields.data:
        raise DocumentError(f"{name}: a manifest that is an index, too")
    own = fields.text("mediaType", "") or media_type
    if own != media_type or own not in MANIFESTS:
        raise DocumentError(f"{name}.mediaType: {own!r} is not the manifest of an image")
    config = fields.object("config")
    if config is None:
        raise DocumentError(f"{name}.config: missing")
    layers = tuple(_blob(item) for item in fields.objects("layers"))
    if len(layers) > _MAX_LAYERS:
        raise DocumentError(f"{name}.layers: more than {_MAX_LAYERS}")
    for layer in layers:
        if layer_compression(layer.media_type) is None:
            raise DocumentError(f"{name}: {layer.media_type!r} is not a kind of layer")
    return ManifestDocument(own, _blob(config), layers)


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


def _schema(fields: Fields) -> None:
    version = fields.integer("schemaVersion")
    if version != 2:
        raise DocumentError(f"{fields.path}.schemaVersion: {version} is not supported, 2 is")


def _blob(fields: Fields) -> Blob:
    platform = fields.object("platform")
    annotations = dict(fields.pairs("annotations"))
    system = "" if platform is None else platform.text("os", "")
    return Blob(
        media_type=fields.text("mediaType"),
        digest=fields.digest("digest"),
        size=fields.size("size"),
        annotations=annotations,
        platform=None
        if platform is None or system in ("", _UNKNOWN)
        else Platform.normal(
            system, platform.text("architecture", ""), platform.text("variant", "")
        ),
        attestation=system == _UNKNOWN or "vnd.docker.reference.type" in annotations,
    )
