"""An index to a registry: everything it names first, the index last.

In: an index with its images as they leave, its names. Out: it is there under each of them, so that
nobody ever sees an index whose manifests are not all there (docs/security.md, R7).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from buildkit.attestation.kept import kept
from buildkit.content.store import BlobStore
from buildkit.errors import UsageError
from buildkit.exporter.forms import Form, Forms
from buildkit.exporter.oci import NamedIndex, Ready
from buildkit.exporter.registry import by_repository, read_form, read_on
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note
from buildkit.registry.client import Registry
from buildkit.registry.push import Make, Parcel, push_blobs
from buildkit.registry.remembered import Remembered, elsewhere, remember
from buildkit.registry.repository import Repository
from buildkit.state.root import StateRoot


def push_index(
    registry: Registry,
    index: NamedIndex,
    root: StateRoot,
    forms: Forms,
    blobs: BlobStore,
    emit: Emit,
    *,
    by_digest: bool = False,
) -> Descriptor:
    """Push `index` under its names; `by_digest`: under no tag.

    Raises RegistryError, StoreError, UsageError, Cancelled.
    """
    if not index.names:
        raise UsageError("an image without a name cannot be pushed", hint="give it one with -t")
    written = index.written
    for names in by_repository(index.names):
        repository = registry.home(names[0])
        makers = _makers(index, root, names[0].domain, forms, blobs)
        push_blobs(registry, repository, makers, emit)
        for member in index.members:
            described = member.written
            repository.put_manifest(described.digest, member.manifest, described.media_type)
            emit(Note(f"pushed {described.digest} for {member.image.config.platform}"))
            _push_remarks(repository, member, names, root, blobs, emit)
        for said in index.attestations:
            repository.put_manifest(said.entry.digest, said.manifest, said.entry.media_type)
            emit(Note(f"pushed attestation {said.entry.digest}"))
        for name in names:
            tag = written.digest if by_digest else name.tag or "latest"
            repository.put_manifest(tag, index.data, written.media_type)
            for member in index.members:
                _remember(root, name, written.digest, member)
            emit(Note(f"pushed {name._replace(digest=None).familiar}@{written.digest}"))
    return written


def _makers(
    index: NamedIndex, root: StateRoot, domain: str, forms: Forms, blobs: BlobStore
) -> list[Make]:
    """Return what gives the blobs, each once: images of several platforms may share some."""
    layers = {form.digest: form for member in index.members for form in member.layers}
    configs = {member.image.digest: member.image.data for member in index.members}
    known = elsewhere(root, domain, (*layers, *configs))
    parcels = [_layer(form, forms, known) for form in layers.values()]
    parcels += [_config(digest, data, known) for digest, data in configs.items()]
    said = {blob.digest: blob for one in index.attestations for blob in one.blobs}
    parcels += [_statement(blob, blobs) for digest, blob in said.items() if digest not in configs]
    return [partial(_given, parcel) for parcel in parcels]


def _given(parcel: Parcel) -> Parcel:
    return parcel


def _layer(form: Form, forms: Forms, known: dict[Digest, str]) -> Parcel:
    return Parcel(
        digest=form.digest,
        size=form.size,
        open=partial(read_form, form, forms),
        what=f"layer {form.digest.hex[:12]}",
        elsewhere=known.get(form.digest, ""),
    )


def _config(digest: Digest, data: bytes, known: dict[Digest, str]) -> Parcel:
    def config(offset: int) -> Iterator[bytes]:
        yield data[offset:]

    what = f"config {digest.hex[:12]}"
    return Parcel(digest, len(data), config, what, known.get(digest, ""))


def _statement(blob: Descriptor, blobs: BlobStore) -> Parcel:
    return Parcel(
        digest=blob.digest,
        size=blob.size,
        open=partial(read_on, partial(blobs.copy, blob.digest)),
        what=f"attestation {blob.digest.hex[:12]}",
    )


def _push_remarks(
    repository: Repository,
    member: Ready,
    names: list[Reference],
    root: StateRoot,
    blobs: BlobStore,
    emit: Emit,
) -> None:
    """Push what is kept about an image, which refers to its manifest."""
    if not kept(root, member.image.digest):
        return
    from buildkit.exporter.attached import artifacts_of  # for few images
    from buildkit.exporter.pushed_artifacts import push_artifacts  # likewise

    named = member.image._replace(names=tuple(names))
    artifacts = artifacts_of(root, blobs, named, member.written)
    push_artifacts(repository, artifacts, member.written.digest, emit)


def _remember(root: StateRoot, name: Reference, top: Digest, member: Ready) -> None:
    image = member.image
    digests = (image.digest, *(form.digest for form in member.layers))
    remember(root, name, image.config.platform, Remembered(top, image.digest, digests))
