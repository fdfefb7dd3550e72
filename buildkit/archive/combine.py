"""Indexes put together of images that are there already, in the store or at registries.

In: names of images and indexes. Out: the index of all their images. What is at a registry is
pulled first, so that the index in the store is whole. As `docker buildx imagetools create`, but
that an index for which two images would do on one platform is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildkit.archive.attestation_manifests import pull_attestations
from buildkit.archive.pulled import keep
from buildkit.archive.stores import Stores
from buildkit.archive.stream import StreamTaker
from buildkit.errors import ImageError, UsageError
from buildkit.exporter.annotations import Annotation, pairs_of
from buildkit.exporter.attestation_manifests import AttestationManifest, is_about, stored_in
from buildkit.exporter.forms import Forms
from buildkit.exporter.oci import NamedImage, NamedIndex, Ready, as_it_came, prepared
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index, is_attestation
from buildkit.oci.media_types import INDEX, INDEXES, MANIFESTS
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note
from buildkit.registry.client import Registry
from buildkit.registry.errors import RegistryError
from buildkit.registry.pull import fetch, resolve
from buildkit.registry.repository import Found
from buildkit.snapshot.compression import compressor
from runtime.values import NamedTuple


class Source(NamedTuple):
    """An image for an index, which is in the store, and what the index says of its manifest.

    `said`: attestations about it in the index that it comes from.
    """

    entry: Descriptor
    ready: Ready
    said: tuple[AttestationManifest, ...] = ()


class Combiner:
    """Finds sources; what is not in the store is pulled over `registry`."""

    def __init__(self, stores: Stores, registry: Registry, emit: Emit) -> None:
        self._stores = stores
        self._registry = registry
        self._emit = emit
        self._forms = Forms(stores.root, stores.snapshots, stores.blobs)

    def sources(self, text: str) -> tuple[Source, ...]:
        """Return the images that `text` means. Raises ImageError, RegistryError, UsageError."""
        try:
            found = self._stores.images.identify(text)
        except ImageError as error:
            return self._pulled(text, error)
        if not self._stores.images.is_index(found):
            return (self._stored(found),)
        index = Index.parse(self._stores.blobs.read(found), f"index {found}")
        return self._with_attestations(
            index,
            [self._stored(part.image, part.entry) for part in self._stores.images.parts(found)],
        )

    def pull_all(self, reference: Reference) -> Digest:
        """Pull all images that a reference means and name them; return the ID of one, or the index.

        The index is kept as it is, and with it the attestations that it names.
        """
        top = top_of(self._registry, reference)
        self._emit(Note(f"{reference.familiar} is {top.descriptor.digest}"))
        sources = self._fetched(reference, top)
        names = () if reference.digest is not None else (reference,)
        images = self._stores.images
        if top.descriptor.media_type in INDEXES:
            return images.add_index(top.data, names)
        image = sources[0].ready.image
        return images.add(image.data, names, manifest=top.descriptor.digest)

    def _stored(self, digest: Digest, entry: Descriptor | None = None) -> Source:
        images, how = self._stores.images, compressor("gzip")
        config = images.config(digest)
        manifest = images.manifest(digest) if entry is None else entry.digest
        image = NamedImage(config, images.config_blob(digest), digest, (), manifest)
        ready = as_it_came(image, self._stores.blobs, how, MANIFESTS, force=False) or prepared(
            image, self._forms.of(config.diff_ids, how)
        )
        described = ready.written._replace(platform=config.platform, os_version=config.os_version)
        if entry is not None:
            described = described._replace(annotations=entry.annotations)
        return Source(described, ready)

    def _pulled(self, text: str, missing: ImageError) -> tuple[Source, ...]:
        try:
            reference = Reference.parse(text)
        except ValueError:
            raise missing from None
        return self._fetched(reference, top_of(self._registry, reference))

    def _fetched(self, reference: Reference, top: Found) -> tuple[Source, ...]:
        """Pull all images of what was found under a reference."""
        if top.descriptor.media_type not in INDEXES:
            return (self._pull(reference, top.descriptor),)
        index = Index.parse(top.data, f"index {top.descriptor.digest}")
        entries = [
            one
            for one in index.manifests
            if one.media_type in MANIFESTS and not is_attestation(one)
        ]
        found = [self._pull(reference, entry) for entry in entries]
        pull_attestations(self._registry, reference, index, self._stores.blobs, self._emit)
        return self._with_attestations(index, found)

    def _with_attestations(self, index: Index, found: list[Source]) -> tuple[Source, ...]:
        """Return sources of an index with what it says about each."""
        said = stored_in(self._stores.blobs, index)
        return tuple(
            one._replace(
                said=tuple(about for about in said if is_about(about.entry, [one.entry.digest]))
            )
            for one in found
        )

    def _pull(self, reference: Reference, entry: Descriptor) -> Source:
        """Pull one image, which gets no name."""
        exact = reference._replace(tag="", digest=entry.digest)
        platform = entry.platform or Platform.host()
        chosen = resolve(self._registry, exact, platform, self._emit)
        taker = StreamTaker(self._stores.snapshots, self._stores.blobs, self._forms)
        fetch(chosen, self._registry, taker, self._emit)
        keep(chosen, chosen.config.platform, self._stores)
        return self._stored(chosen.digest, entry)


def top_of(registry: Registry, reference: Reference) -> Found:
    """Return the manifest or index that a reference means at its registry, mirrors first."""
    *mirrors, home = registry.sources(reference)
    name = reference.digest or reference.tag or "latest"
    for repository in mirrors:
        try:
            return repository.manifest(name)
        except (RegistryError, ImageError):
            continue
    return home.manifest(name)


def combined(
    sources: Iterable[Source],
    names: Sequence[Reference],
    annotated: Sequence[Annotation],
    platforms: Sequence[Platform] = (),
    base: Index | None = None,
) -> NamedIndex:
    """Return the index of `sources`; `platforms`: of these alone, all without any.

    Of `base`, the index that is added to, annotations stay. Raises UsageError.
    """
    found: dict[tuple[Platform, str], Source] = {}
    for one in sources:
        platform = one.entry.platform
        if platform is None or (platforms and platform not in platforms):
            continue
        other = found.setdefault((platform, one.entry.os_version), one)
        if other.entry.digest != one.entry.digest:
            raise UsageError(
                f"two images are for {platform}: {other.entry.digest} and {one.entry.digest}",
                hint="an index has one image for a platform",
            )
    if not found:
        raise UsageError("no image is left for the index")
    said = tuple(dict.fromkeys(about for one in found.values() for about in one.said))
    entries = tuple(_with(one.entry, annotated) for one in found.values())
    entries += tuple(about.entry for about in said)
    own = dict(base.annotations if base is not None else ()) | dict(pairs_of(annotated, "index"))
    data = Index(entries, INDEX, annotations=tuple(own.items())).encode()
    members = tuple(one.ready for one in found.values())
    written = Descriptor(INDEX, Digest.of(data), len(data))
    return NamedIndex(data, written, members, tuple(names), attestations=said)


def replacing(old: Sequence[Source], new: Sequence[Source]) -> tuple[Source, ...]:
    """Return `old` with `new` added; one for the same platform goes."""
    fresh = {one.entry.platform for one in new}
    return (*(one for one in old if one.entry.platform not in fresh), *new)


def _with(entry: Descriptor, annotated: Sequence[Annotation]) -> Descriptor:
    own = dict(entry.annotations) | dict(pairs_of(annotated, "manifest-descriptor", entry.platform))
    return entry._replace(annotations=tuple(own.items()))
