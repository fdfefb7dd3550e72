"""The seam to where caches lie: what every kind of place promises.

A cache is a manifest under a name. Its config blob is a `CacheDocument`, its layers are the layers
that the document names, compressed. Who reads one takes the document first and layers, one by one,
when they are needed. Errors are `BuildError`s: RegistryError, ImageError for what is not what it
says, OutputError for a directory that cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from buildkit.content.streams import Reader
from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import MAX_DOCUMENT
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import DOCKER_MANIFEST, MANIFEST, layer_compression
from buildkit.remotecache.document import CONFIG_TYPE, CacheDocument
from runtime.values import NamedTuple


class Loaded(NamedTuple):
    """A cache that was found: the digest of its manifest, what it says, and blobs by diff ID."""

    digest: Digest
    document: CacheDocument
    layers: dict[Digest, Descriptor]


class Blob(NamedTuple):
    """A blob on its way out. `open(offset)` gives its bytes from there on, anew at each call."""

    digest: Digest
    size: int
    open: Callable[[int], Iterator[bytes]]
    what: str


Make: TypeAlias = Callable[[], Blob]
"""Makes a blob ready to be written, which may take a while."""


class Written(NamedTuple):
    """A cache as documents: the config blob and the manifest that names it."""

    config: bytes
    manifest: bytes
    media_type: str


Merge: TypeAlias = Callable[[Loaded | None], Written | None]
"""Returns what to publish in place of what is there; None when that will do as it is."""


class BlobReader(Protocol):
    """A place that blobs can be had from. Any thread may `open`."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def open(self, layer: Descriptor) -> AbstractContextManager[Reader]:
        """Give a reader of a layer's blob; whether it is that blob is for the reader to find out.

        Raises BuildError, and so does the reader.
        """
        ...


class CacheReader(BlobReader, Protocol):
    """A place that a cache is read from. Any thread may `open` once it was loaded."""

    def load(self) -> Loaded:
        """Return what is there. Raises BuildError, also where nothing is."""
        ...


class CacheWriter(Protocol):
    """A place that a cache is written to."""

    def load(self) -> Loaded:
        """Return what is there, as `CacheReader` does."""
        ...

    def write(self, makers: Sequence[Make], merge: Merge) -> Digest:
        """Make and write blobs, then put what `merge` makes of what is there under the name.

        Several blobs at once; what is there already is skipped. Returns the manifest's digest.
        Any number of writers may do so at once and none of them loses what another wrote: `merge`
        is called again when something else is there by then. Nobody ever sees a cache whose
        blobs are not all there.
        """
        ...


def written(
    document: CacheDocument, layers: dict[Digest, Descriptor], *, docker: bool = False
) -> Written:
    """Return a cache as documents. Raises ImageError for one that nobody would read."""
    config = document.encode()
    if len(config) > MAX_DOCUMENT:
        raise ImageError(
            f"{len(document.steps)} steps take {len(config)} bytes where {MAX_DOCUMENT} are read"
        )
    media_type = DOCKER_MANIFEST if docker else MANIFEST
    manifest = Manifest(
        config=Descriptor(CONFIG_TYPE, Digest.of(config), len(config)),
        layers=tuple(layers[diff_id] for diff_id in document.layers),
        media_type=media_type,
    )
    return Written(config, manifest.encode(), media_type)


def layers_of(manifest: Manifest, document: CacheDocument, name: str) -> dict[Digest, Descriptor]:
    """Return the manifest's layers by diff ID. Raises ImageError where they do not agree."""
    if len(manifest.layers) != len(document.layers):
        raise ImageError(
            f"{name}: the manifest has {len(manifest.layers)} layers, "
            f"the cache names {len(document.layers)}"
        )
    for layer in manifest.layers:
        if layer_compression(layer.media_type) is None:
            raise ImageError(f"{name}: {layer.media_type[:80]!r} is no layer")
    return dict(zip(document.layers, manifest.layers, strict=True))
