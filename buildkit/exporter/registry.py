"""Output `registry`, and `pybuild push`: an image to a registry.

In: an image of the store, its names. Out: it is there under each of them. An image that came with a
manifest leaves with that very one as long as its layers leave in the form they came in, so that
its digest stays. Blobs that another repository of the registry was seen to have are mounted. The
manifest goes last (docs/security.md, R7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from buildkit.attestation.kept import kept
from buildkit.content.store import BlobStore
from buildkit.content.streams import CHUNK, Sink
from buildkit.errors import UsageError
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.oci import NamedImage, Ready, as_it_came, manifest_of
from buildkit.exporter.pipe import produced
from buildkit.exporter.workers import Check
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import DOCKER_MANIFEST, MANIFEST, MANIFESTS
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Moved, Note
from buildkit.registry.client import Registry
from buildkit.registry.pull import Told
from buildkit.registry.push import Make, Parcel, push_blobs
from buildkit.registry.remembered import Remembered, elsewhere, remember
from buildkit.registry.repository import Repository
from buildkit.snapshot.compression import Compressor
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

_SENT = 64 << 10
"""Bytes sent at a time; a slow line has `Limits.stall` seconds for them."""


class Manner(NamedTuple):
    """How to push. `docker`: Docker's media types, None: as the image came, else OCI's.

    `by_digest`: under no tag. `force`: layers from elsewhere get the wanted compression, too.
    """

    how: Compressor
    force: bool = False
    docker: bool | None = None
    by_digest: bool = False
    annotations: tuple[tuple[str, str], ...] = ()


class _Sender:
    """One image on its way out; `check` ends long work."""

    def __init__(
        self,
        image: NamedImage,
        manner: Manner,
        root: StateRoot,
        forms: Forms,
        blobs: BlobStore,
        check: Check,
        emit: Emit,
    ) -> None:
        self._image = image
        self._manner = manner
        self._root = root
        self._forms = forms
        self._check = check
        self._emit = emit
        self._came = _as_it_came(image, manner, blobs)
        self._layers: dict[Digest, Form] = {}
        if self._came is not None:
            self._layers = {form.diff_id: form for form in self._came.layers}

    def makers(self, repository: Repository, domain: str) -> list[Make]:
        """Return what makes the blobs: layers, each once, and the config."""
        layers = dict.fromkeys(self._image.config.diff_ids)
        made = (partial(self._layer, diff_id, repository, domain) for diff_id in layers)
        return [*made, partial(self._config, domain)]

    def layers(self) -> tuple[Form, ...]:
        """Return the layers as they left, once all were made."""
        return tuple(self._layers[diff_id] for diff_id in self._image.config.diff_ids)

    def manifest(self) -> tuple[bytes, Descriptor]:
        """Return the manifest, once all layers were made."""
        if self._came is not None:
            return self._came.manifest, self._came.written
        docker = bool(self._manner.docker)
        data = manifest_of(self._image, self.layers(), self._manner.annotations, docker=docker)
        kind = DOCKER_MANIFEST if docker else MANIFEST
        return data, Descriptor(kind, Digest.of(data), len(data))

    def _layer(self, diff_id: Digest, repository: Repository, domain: str) -> Parcel:
        how, sent = self._manner.how, False
        form = self._layers.get(diff_id)
        if form is None:
            form = self._forms.known(diff_id, how, force=self._manner.force, keep=False)
            if form is None:
                form, sent = self._made(diff_id, repository)
            self._layers[diff_id] = form
        known = elsewhere(self._root, domain, (form.digest,))
        return Parcel(
            digest=form.digest,
            size=form.size,
            open=partial(read_form, form, self._forms),
            what=f"layer {form.digest.hex[:12]}",
            elsewhere=known.get(form.digest, ""),
            sent=sent,
        )

    def _made(self, diff_id: Digest, repository: Repository) -> tuple[Form, bool]:
        """Compress a layer, and send it meanwhile; say whether the registry has it then."""
        what = f"layer {diff_id.hex[:12]}"
        told = Told(what, 0, self._emit)
        with repository.stream(f"pushing {what}", told.more) as upload:
            form = self._forms.make(diff_id, self._manner.how, self._check, upload, keep=False)
            sent = upload.finish(form.digest)
        if sent:
            self._emit(Moved(what, form.size, form.size))
        return form, sent

    def _config(self, domain: str) -> Parcel:
        image = self._image

        def config(offset: int) -> Iterator[bytes]:
            yield image.data[offset:]

        known = elsewhere(self._root, domain, (image.digest,))
        return Parcel(
            digest=image.digest,
            size=len(image.data),
            open=config,
            what=f"config {image.digest.hex[:12]}",
            elsewhere=known.get(image.digest, ""),
        )


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
    if manner.docker and manner.annotations:
        raise UsageError("Docker's manifests have no annotations", hint="use OCI's media types")
    sender = _Sender(image, manner, root, forms, blobs, registry.check, emit)
    has_remarks = bool(kept(root, image.digest))
    for names in by_repository(image.names):
        repository = registry.home(names[0])
        push_blobs(registry, repository, sender.makers(repository, names[0].domain), emit)
        data, written = sender.manifest()
        for name in names:
            tag = written.digest if manner.by_digest else name.tag or "latest"
            repository.put_manifest(tag, data, written.media_type)
            blobs_of = (image.digest, *(form.digest for form in sender.layers()))
            known = Remembered(written.digest, image.digest, blobs_of)
            remember(root, name, image.config.platform, known)
            emit(Note(f"pushed {name._replace(digest=None).familiar}@{written.digest}"))
        if has_remarks:
            from buildkit.exporter.attached import artifacts_of  # for few images
            from buildkit.exporter.pushed_artifacts import push_artifacts  # likewise

            artifacts = artifacts_of(root, blobs, image._replace(names=tuple(names)), written)
            push_artifacts(repository, artifacts, written.digest, emit)
    blobs.put_bytes(data)
    return written


def _as_it_came(image: NamedImage, manner: Manner, blobs: BlobStore) -> Ready | None:
    """Return the image with the manifest it came with, if that is what is wanted."""
    if manner.annotations:
        return None
    wanted = MANIFESTS
    if manner.docker is not None:
        wanted = frozenset({DOCKER_MANIFEST if manner.docker else MANIFEST})
    return as_it_came(image, blobs, manner.how, wanted, force=manner.force)


def by_repository(names: Sequence[Reference]) -> list[list[Reference]]:
    """Return the names, those of one repository together."""
    found: dict[str, list[Reference]] = {}
    for name in names:
        found.setdefault(name.repository, []).append(name)
    return list(found.values())


def read_form(form: Form, forms: Forms, offset: int) -> Iterator[bytes]:
    """Read a layer from an offset; what is before is read as well, since all is verified."""
    yield from read_on(partial(forms.copy, form), offset)


def read_on(copy: Callable[[Sink], object], offset: int) -> Iterator[bytes]:
    """Read what `copy` passes to a sink, from an offset."""
    with produced(copy) as reader:
        left = offset
        while left and (data := reader.read(min(left, CHUNK))):
            left -= len(data)
        while data := reader.read(CHUNK):
            for start in range(0, len(data), _SENT):
                yield data[start : start + _SENT]
