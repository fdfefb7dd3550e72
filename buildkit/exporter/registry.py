"""Output `registry`, and `pybuild push`: an image to a registry.

In: an image of the store, its names. Out: it is there under each of them. An image that came with a
manifest leaves with that very one as long as its layers leave in the form they came in, so that
its digest stays. Blobs that another repository of the registry was seen to have are mounted.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from buildkit.archive.remembered import Remembered, elsewhere, remember
from buildkit.content.store import BlobStore
from buildkit.content.streams import CHUNK
from buildkit.errors import UsageError
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.oci import NamedImage, as_it_came, manifest_of
from buildkit.exporter.pipe import produced
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import DOCKER_MANIFEST, MANIFEST, MANIFESTS
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note
from buildkit.registry.client import Registry
from buildkit.registry.push import Named, Parcel, push
from buildkit.snapshot.compression import Compressor
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

_SENT = 256 << 10


class Manner(NamedTuple):
    """How to push. `docker`: Docker's media types, None: as the image came, else OCI's.

    `by_digest`: under no tag. `force`: layers from elsewhere get the wanted compression, too.
    """

    how: Compressor
    force: bool = False
    docker: bool | None = None
    by_digest: bool = False
    annotations: tuple[tuple[str, str], ...] = ()


class _Ready(NamedTuple):
    manifest: bytes
    media_type: str
    layers: tuple[Form, ...]


def push_image(
    registry: Registry,
    image: NamedImage,
    manner: Manner,
    root: StateRoot,
    forms: Forms,
    blobs: BlobStore,
    emit: Emit,
) -> Descriptor:
    """Push `image` under its names. Raises RegistryError, StoreError, UsageError, Cancelled."""
    if not image.names:
        raise UsageError("an image without a name cannot be pushed", hint="give it one with -t")
    ready = _ready(image, manner, forms, blobs)
    written = Descriptor(ready.media_type, Digest.of(ready.manifest), len(ready.manifest))
    for names in _by_repository(image.names):
        repository = registry.home(names[0])
        tags = () if manner.by_digest else tuple(name.tag or "latest" for name in names)
        push(
            registry,
            repository,
            _parcels(image, ready, names[0].domain, root, forms),
            [Named(ready.manifest, ready.media_type, tags)],
            emit,
        )
        known = Remembered(
            written.digest, image.digest, (image.digest, *(form.digest for form in ready.layers))
        )
        for name in names:
            remember(root, name, image.config.platform, known)
            emit(Note(f"pushed {name._replace(digest=None).familiar}@{written.digest}"))
    blobs.put_bytes(ready.manifest)
    return written


def _ready(image: NamedImage, manner: Manner, forms: Forms, blobs: BlobStore) -> _Ready:
    """Return the manifest to push: the one the image came with, or a new one."""
    wanted = MANIFESTS
    if manner.docker is not None:
        wanted = frozenset({DOCKER_MANIFEST if manner.docker else MANIFEST})
    came = None
    if not manner.annotations:
        came = as_it_came(image, blobs, manner.how, wanted, force=manner.force)
    if came is not None:
        return _Ready(came.manifest, came.written.media_type, came.layers)
    docker = bool(manner.docker)
    if docker and manner.annotations:
        raise UsageError("Docker's manifests have no annotations", hint="leave --format out")
    layers = forms.of(image.config.diff_ids, manner.how, force=manner.force)
    data = manifest_of(image, layers, manner.annotations, docker=docker)
    return _Ready(data, DOCKER_MANIFEST if docker else MANIFEST, layers)


def _by_repository(names: Sequence[Reference]) -> list[list[Reference]]:
    """Return the names, those of one repository together."""
    found: dict[str, list[Reference]] = {}
    for name in names:
        found.setdefault(name.repository, []).append(name)
    return list(found.values())


def _parcels(
    image: NamedImage, ready: _Ready, domain: str, root: StateRoot, forms: Forms
) -> list[Parcel]:
    """Return the blobs of the image: layers, then the config."""
    known = elsewhere(root, domain, [form.digest for form in ready.layers])

    def config(offset: int) -> Iterator[bytes]:
        yield image.data[offset:]

    return [
        *(
            Parcel(
                form.digest,
                form.size,
                partial(_layer, form, forms),
                f"layer {form.digest.hex[:12]}",
                known.get(form.digest, ""),
            )
            for form in ready.layers
        ),
        Parcel(image.digest, len(image.data), config, f"config {image.digest.hex[:12]}"),
    ]


def _layer(form: Form, forms: Forms, offset: int) -> Iterator[bytes]:
    """Read a layer from an offset; what is before is read as well, since all is verified."""
    with produced(lambda sink: forms.copy(form, sink)) as reader:
        left = offset
        while left and (data := reader.read(min(left, CHUNK))):
            left -= len(data)
        while data := reader.read(_SENT):
            yield data
