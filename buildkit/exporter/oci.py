"""Output `oci`: an image layout, as an archive or as a directory.

In: images with their layers. Out: `oci-layout`, blobs, `index.json`: layers first, and last what
names the rest, since a large layer is compressed while it is written. An image that came with an
OCI manifest leaves with that very one as long as its layers leave in the form they came in.
Source: image-spec image-layout.md; names in the annotations that containerd, BuildKit and
podman read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from buildkit.attestation.statement import Artifact
from buildkit.content.store import BlobStore
from buildkit.exporter.attestation_manifests import AttestationManifest
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.layer_parts import LayerParts
from buildkit.exporter.layout import Layout
from buildkit.oci.config import ImageConfig
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import encode
from buildkit.oci.index import REF_NAME, Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    MANIFEST,
    layer_compression,
    layer_type,
)
from buildkit.oci.reference import Reference
from buildkit.snapshot.compression import Compressor
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


NAME = "io.containerd.image.name"
CREATED = "org.opencontainers.image.created"

_OCI = frozenset({MANIFEST})


class NamedImage(NamedTuple):
    """An image to write: its config blob, its names, and the manifest it came with, if any."""

    config: ImageConfig
    data: bytes
    digest: Digest
    names: tuple[Reference, ...] = ()
    manifest: Digest | None = None


class Ready(NamedTuple):
    """An image with its manifest as it leaves; `written` describes the manifest."""

    image: NamedImage
    manifest: bytes
    layers: tuple[Form, ...]
    written: Descriptor


class NamedIndex(NamedTuple):
    """An index to write, made by `exporter/index.py`; `annotations`: what a layout says of it.

    `attestations`: entries of it that are about its images, and go along.
    """

    data: bytes
    written: Descriptor
    members: tuple[Ready, ...]
    names: tuple[Reference, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    attestations: tuple[AttestationManifest, ...] = ()


Attached: TypeAlias = Callable[[NamedImage, Descriptor], Sequence[Artifact]]
"""Returns the artifacts about an image and its manifest."""


def write_oci(
    layout: Layout,
    images: Sequence[NamedImage],
    forms: Forms,
    blobs: BlobStore,
    how: Compressor,
    *,
    force: bool = False,
    annotations: tuple[tuple[str, str], ...] = (),
    attached: Attached | None = None,
    indexes: Sequence[NamedIndex] = (),
) -> tuple[Descriptor, ...]:
    """Write `images` and `indexes` to `layout`; `annotations` go into each manifest.

    `attached`: what there is to be said about an image, and goes along.
    """
    came = [
        None if annotations else as_it_came(image, blobs, how, _OCI, force=force)
        for image in images
    ]
    members = [member for index in indexes for member in index.members]
    pairs = list(zip(images, came, strict=True))
    fixed = [form for item in (*came, *members) if item is not None for form in item.layers]
    wanted = [d for image, item in pairs if item is None for d in image.config.diff_ids]
    parts = LayerParts(layout, forms, how, fixed, wanted, force=force)
    layout.add("oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
    layout.directory("blobs")
    layout.directory("blobs/sha256")
    ready = [_with_layers(image, item, parts, annotations) for image, item in pairs]
    for member in members:
        parts.copy(member.layers)
    artifacts = (
        []
        if attached is None
        else [one for item in (*ready, *members) for one in attached(item.image, item.written)]
    )
    _add_documents(layout, (*ready, *members), indexes, artifacts, blobs)
    top = [entry for item in ready for entry in _entries(item.image, item.written)]
    top += [entry for index in indexes for entry in _index_entries(index)]
    layout.add("index.json", index_of(top, artifacts))
    return (*(item.written for item in ready), *(index.written for index in indexes))


def _with_layers(
    image: NamedImage,
    came: Ready | None,
    parts: LayerParts,
    annotations: tuple[tuple[str, str], ...],
) -> Ready:
    """Write the layers of an image; return it with its manifest."""
    if came is None:
        return prepared(image, parts.make(image.config.diff_ids), annotations)
    parts.copy(came.layers)
    return came


def _add_documents(
    layout: Layout,
    images: Sequence[Ready],
    indexes: Sequence[NamedIndex],
    artifacts: Sequence[Artifact],
    blobs: BlobStore,
) -> None:
    """Write all blobs that are not layers, in the order of their digests."""
    small = {index.written.digest: index.data for index in indexes}
    for item in images:
        small.update({item.written.digest: item.manifest, item.image.digest: item.image.data})
    for artifact in artifacts:
        small.update({Digest.of(data): data for data in (artifact.manifest, *artifact.blobs)})
    said = [one for index in indexes for one in index.attestations]
    small.update({one.entry.digest: one.manifest for one in said})
    statements = {blob.digest: blob for one in said for blob in one.blobs}
    for digest in sorted({*small, *statements}):
        name = f"blobs/sha256/{digest.hex}"
        if digest in small:
            layout.add(name, small[digest])
        else:
            layout.stream(name, statements[digest].size, partial(blobs.copy, digest))


def manifest_of(
    image: NamedImage,
    layers: Sequence[Form],
    annotations: tuple[tuple[str, str], ...] = (),
    *,
    docker: bool = False,
) -> bytes:
    """Return the manifest of `image` with `layers`; `docker`: with Docker's media types."""
    return Manifest(
        config=Descriptor(DOCKER_CONFIG if docker else CONFIG, image.digest, len(image.data)),
        layers=tuple(
            Descriptor(layer_type(form.compression, docker=docker), form.digest, form.size)
            for form in layers
        ),
        media_type=DOCKER_MANIFEST if docker else MANIFEST,
        annotations=annotations,
    ).encode()


def index_of(entries: Sequence[Descriptor], artifacts: Sequence[Artifact] = ()) -> bytes:
    """Return the index.json with `entries`.

    Artifacts come last, since readers that know of no artifacts take the first entry.
    """
    every = (*entries, *(artifact.descriptor for artifact in artifacts))
    return Index(manifests=every).encode()


def _entries(image: NamedImage, written: Descriptor) -> Iterator[Descriptor]:
    """Yield what an index.json says of an image: an entry for each name, or one without."""
    created = ((CREATED, image.config.created),) if image.config.created else ()
    for named in _named(image.names):
        yield written._replace(annotations=(*named, *created), platform=image.config.platform)


def _index_entries(index: NamedIndex) -> Iterator[Descriptor]:
    created = max((one.image.config.created for one in index.members), default="")
    for named in _named(index.names):
        own = {CREATED: created, **dict(named), **dict(index.annotations)}
        yield index.written._replace(annotations=tuple(pair for pair in own.items() if pair[1]))


def _named(names: Sequence[Reference]) -> Iterator[tuple[tuple[str, str], ...]]:
    for name in names:
        yield ((NAME, str(name)), (REF_NAME, name.tag or "latest"))
    if not names:
        yield ()


def prepared(
    image: NamedImage,
    layers: tuple[Form, ...],
    annotations: tuple[tuple[str, str], ...] = (),
    *,
    docker: bool = False,
) -> Ready:
    """Return the image with a new manifest."""
    manifest = manifest_of(image, layers, annotations, docker=docker)
    return Ready(
        image, manifest, layers, _described(manifest, DOCKER_MANIFEST if docker else MANIFEST)
    )


def as_it_came(
    image: NamedImage,
    blobs: BlobStore,
    how: Compressor,
    wanted: frozenset[str],
    *,
    force: bool,
) -> Ready | None:
    """Return the image with the manifest it came with, if its blobs are here and will do.

    `wanted`: the media types of manifests that will do.
    """
    if image.manifest is None or not blobs.has(image.manifest):
        return None
    data = blobs.read(image.manifest)
    manifest = Manifest.parse(data, f"manifest {image.manifest}")
    if manifest.media_type not in wanted or len(manifest.layers) != len(image.config.diff_ids):
        return None
    layers = []
    for layer, diff_id in zip(manifest.layers, image.config.diff_ids, strict=True):
        compression = layer_compression(layer.media_type)
        if compression is None or not blobs.has(layer.digest):
            return None
        if force and compression != how.compression:
            return None
        layers.append(Form(diff_id, compression, layer.digest, layer.size, stored=True))
    return Ready(image, data, tuple(layers), _described(data, manifest.media_type))


def _described(manifest: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, Digest.of(manifest), len(manifest))
