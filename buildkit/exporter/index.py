"""Indexes: images of several platforms under one name.

In: images of the store, one a platform, and annotations; or an index of the store. Out: their
manifests, and the index that names those. Source: image-spec image-index.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.content.store import BlobStore
from buildkit.exporter.annotations import Annotation, Pairs, pairs_of
from buildkit.exporter.attestation_manifests import is_about, stored_in
from buildkit.exporter.forms import Forms
from buildkit.exporter.oci import NamedImage, NamedIndex, Ready, as_it_came, prepared
from buildkit.images import ImageStore
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.media_types import DOCKER_LIST, INDEX, MANIFESTS
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note
from buildkit.snapshot.compression import Compressor, compressor


def make_index(
    images: Sequence[NamedImage],
    names: Sequence[Reference],
    forms: Forms,
    how: Compressor,
    *,
    every: Pairs = (),
    annotated: Sequence[Annotation] = (),
    force: bool = False,
    docker: bool = False,
) -> NamedIndex:
    """Return the index of `images`; layers are compressed as far as they are not.

    `every`: annotations of all manifests. `docker`: Docker's media types, which have none.
    """
    members = []
    for image in images:
        platform = image.config.platform
        pairs = (*every, *pairs_of(annotated, "manifest", platform))
        layers = forms.of(image.config.diff_ids, how, force=force)
        members.append(prepared(image, layers, pairs, docker=docker))
    entries = tuple(
        _entry(one, pairs_of(annotated, "manifest-descriptor", one.image.config.platform))
        for one in members
    )
    kind = DOCKER_LIST if docker else INDEX
    data = Index(entries, kind, annotations=pairs_of(annotated, "index")).encode()
    return NamedIndex(
        data,
        Descriptor(kind, Digest.of(data), len(data)),
        tuple(members),
        tuple(names),
        pairs_of(annotated, "index-descriptor"),
    )


def stored_index(
    digest: Digest,
    names: Sequence[Reference],
    images: ImageStore,
    blobs: BlobStore,
    forms: Forms,
    how: Compressor,
    *,
    force: bool = False,
) -> NamedIndex:
    """Return an index of the store as it leaves: as it came if its images do.

    What it names and the store has not, manifests of further platforms, stays behind, and so do
    attestations about an image whose manifest is another now.
    """
    index = Index.parse(blobs.read(digest), f"index {digest}")
    members, moved = [], {}
    for part in images.parts(digest):
        data = images.config_blob(part.image)
        config = images.config(part.image)
        image = NamedImage(config, data, part.image, (), part.entry.digest)
        ready = as_it_came(image, blobs, how, MANIFESTS, force=force) or prepared(
            image, forms.of(config.diff_ids, how, force=force)
        )
        members.append(ready)
        moved[part.entry] = _moved(part.entry, ready.written)
    same = [entry.digest for entry, now in moved.items() if entry.digest == now.digest]
    said = tuple(one for one in stored_in(blobs, index) if is_about(one.entry, same))
    moved.update({one.entry: one.entry for one in said})
    entries = tuple(moved[entry] for entry in index.manifests if entry in moved)
    kept = index._replace(manifests=entries)
    data = blobs.read(digest) if kept == index else kept.encode()
    written = Descriptor(index.media_type, Digest.of(data), len(data))
    return NamedIndex(data, written, tuple(members), tuple(names), attestations=said)


def keep_index(
    images: Sequence[NamedImage],
    names: Sequence[Reference],
    annotated: Sequence[Annotation],
    store: ImageStore,
    blobs: BlobStore,
    forms: Forms,
    emit: Emit,
) -> Descriptor:
    """Put images of a build and their index into the store, durably, and name it."""
    for image in images:
        store.add(image.data)
        emit(Note(f"image {image.digest} for {image.config.platform}"))
    index = make_index(images, names, forms, compressor("gzip", None), annotated=annotated)
    add_index(index, store, blobs)
    emit(Note(f"index {index.written.digest}"))
    return index.written


def add_index(index: NamedIndex, store: ImageStore, blobs: BlobStore) -> None:
    """Put an index, whose images are in the store, there, too, and name it."""
    for member in index.members:
        blobs.put_bytes(member.manifest)
    store.add_index(index.data, index.names)


def _entry(ready: Ready, annotations: Pairs) -> Descriptor:
    config = ready.image.config
    return ready.written._replace(
        platform=config.platform, os_version=config.os_version, annotations=annotations
    )


def _moved(entry: Descriptor, written: Descriptor) -> Descriptor:
    """Return what an index says of a manifest that leaves as `written`."""
    return entry._replace(media_type=written.media_type, digest=written.digest, size=written.size)
