"""Output `oci`: an image layout, as an archive or as a directory.

In: images with their layers. Out: `oci-layout`, `index.json`, blobs. An image that came with an
OCI manifest leaves with that very one as long as its layers leave in the form they came in.
Source: image-spec image-layout.md; names in the annotations that containerd, BuildKit and
podman read.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from buildkit.content.store import BlobStore
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.layout import Layout
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.fields import Fields, encode
from buildkit.oci.media_types import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    INDEX,
    MANIFEST,
    layer_type,
)
from buildkit.oci.reference import Reference
from buildkit.snapshot.compression import Compressor

NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
CREATED = "org.opencontainers.image.created"


class NamedImage(NamedTuple):
    """An image to write: its config blob, its names, and the manifest it came with, if any."""

    config: ImageConfig
    data: bytes
    digest: Digest
    names: tuple[Reference, ...] = ()
    manifest: Digest | None = None


class Written(NamedTuple):
    """The manifest of an image that was written."""

    media_type: str
    digest: Digest
    size: int


class _Ready(NamedTuple):
    image: NamedImage
    manifest: bytes
    layers: tuple[Form, ...]
    written: Written


def write_oci(
    layout: Layout,
    images: Sequence[NamedImage],
    forms: Forms,
    blobs: BlobStore,
    how: Compressor,
    *,
    force: bool = False,
    annotations: tuple[tuple[str, str], ...] = (),
) -> tuple[Written, ...]:
    """Write `images` to `layout`; `annotations` go into each manifest."""
    ready = [
        _prepared(image, forms.of(image.config.diff_ids, how, force=force), blobs, annotations)
        for image in images
    ]
    layout.add("oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
    layout.add("index.json", index_of([(item.image, item.written) for item in ready]))
    layout.directory("blobs")
    layout.directory("blobs/sha256")
    small = {item.written.digest: item.manifest for item in ready}
    small.update({item.image.digest: item.image.data for item in ready})
    layers = {form.digest: form for item in ready for form in item.layers}
    for digest in sorted({*small, *layers}):
        name = f"blobs/sha256/{digest.hex}"
        if digest in small:
            layout.add(name, small[digest])
        else:
            stream_form(layout, name, layers[digest], forms)
    return tuple(item.written for item in ready)


def manifest_of(
    image: NamedImage,
    layers: Sequence[Form],
    annotations: tuple[tuple[str, str], ...] = (),
    *,
    docker: bool = False,
) -> bytes:
    """Return the manifest of `image` with `layers`; `docker`: with Docker's media types."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else MANIFEST,
        "config": _descriptor(DOCKER_CONFIG if docker else CONFIG, image.digest, len(image.data)),
        "layers": [
            _descriptor(layer_type(form.compression, docker=docker), form.digest, form.size)
            for form in layers
        ],
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations))
    return encode(document)


def index_of(images: Sequence[tuple[NamedImage, Written]]) -> bytes:
    """Return the index.json: an entry for each name, or one for an image without."""
    entries: list[dict[str, Any]] = []
    for image, written in images:
        entry = _descriptor(written.media_type, written.digest, written.size)
        platform = image.config.platform
        described: dict[str, Any] = {
            "architecture": platform.architecture,
            "os": platform.os,
        }
        if platform.variant:
            described["variant"] = platform.variant
        for name in image.names or (None,):
            annotations = {CREATED: image.config.created} if image.config.created else {}
            if name is not None:
                annotations = {NAME: str(name), **annotations, REF_NAME: name.tag or "latest"}
            entries.append({**entry, "annotations": annotations, "platform": described})
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def stream_form(layout: Layout, name: str, form: Form, forms: Forms) -> None:
    """Write a layer as the part `name`."""
    layout.stream(name, form.size, lambda sink: forms.copy(form, sink))


def _prepared(
    image: NamedImage,
    layers: tuple[Form, ...],
    blobs: BlobStore,
    annotations: tuple[tuple[str, str], ...],
) -> _Ready:
    original = None if annotations else _original(image, layers, blobs)
    manifest = original or manifest_of(image, layers, annotations)
    written = Written(MANIFEST, Digest.of(manifest), len(manifest))
    return _Ready(image, manifest, layers, written)


def _original(image: NamedImage, layers: Sequence[Form], blobs: BlobStore) -> bytes | None:
    """Return the manifest that the image came with if it still describes it."""
    if image.manifest is None or not blobs.has(image.manifest):
        return None
    data = blobs.read(image.manifest)
    found = Fields.parse(data, f"manifest {image.manifest}")
    digests = [layer.digest("digest") for layer in found.objects("layers")]
    same = digests == [form.digest for form in layers]
    return data if same and found.text("mediaType", MANIFEST) == MANIFEST else None


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}
