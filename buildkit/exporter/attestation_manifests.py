"""Attestations that are entries of an index beside the images that they are about.

In: an index of the store. Out: those of its entries whose manifest and blobs are here. So Moby
BuildKit keeps provenance and SBOMs: as an image of no platform, with annotations that name the
manifest it is about. Here they are kept and passed on as they are. Source: BuildKit's
docs/attestations/attestation-storage.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildkit.content.store import BlobStore
from buildkit.errors import ImageError, StoreError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import ABOUT, Index, is_attestation
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import MANIFESTS
from runtime.values import NamedTuple


class AttestationManifest(NamedTuple):
    """`entry`: what the index says of it. `blobs`: config and statements, all in the store."""

    entry: Descriptor
    manifest: bytes
    blobs: tuple[Descriptor, ...]


def entries_of(index: Index) -> tuple[Descriptor, ...]:
    """Return the entries of an index that are attestations."""
    return tuple(
        entry
        for entry in index.manifests
        if is_attestation(entry) and entry.media_type in MANIFESTS
    )


def is_about(entry: Descriptor, manifests: Iterable[Digest]) -> bool:
    """Say whether an entry is about one of `manifests`, or about none in particular."""
    subject = dict(entry.annotations).get(ABOUT)
    return subject is None or subject in set(manifests)


def stored_in(blobs: BlobStore, index: Index) -> tuple[AttestationManifest, ...]:
    """Return the attestations of an index of the store that are whole."""
    found = []
    for entry in entries_of(index):
        try:
            data = blobs.read(entry.digest)
            manifest = Manifest.parse(data, f"manifest {entry.digest}")
        except (StoreError, ImageError):
            continue  # it was not taken along
        named = {part.digest: part for part in (manifest.config, *manifest.layers)}
        if all(map(blobs.has, named)):
            found.append(AttestationManifest(entry, data, tuple(named.values())))
    return tuple(found)
