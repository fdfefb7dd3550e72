"""A cache in a registry: a manifest of its own, or one that came inside of an image.

In: an open client, a reference. Out: a `CacheReader` and `CacheWriter`. A registry has no way to
say "exchange this for that", so a writer looks at what it is about to replace just before it does,
and looks again a moment later: what another writer put there in between is merged and put again.
Source: distribution-spec 1.1.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from buildkit.content.streams import Reader
from buildkit.errors import Cancelled, ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import Fields
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import CONFIGS, INDEXES
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit
from buildkit.registry.client import Registry
from buildkit.registry.errors import NotFoundError, RegistryError
from buildkit.registry.limits import MAX_CONFIG
from buildkit.registry.push import Parcel, push_blobs
from buildkit.registry.repository import Found, Repository
from buildkit.remotecache.backend import Blob, Loaded, Make, Merge, Written, layers_of
from buildkit.remotecache.document import CONFIG_TYPE, IMAGE_MEMBER, CacheDocument

_ROUNDS = 12
_UNKNOWN_BLOB = frozenset({400, 404})
_SETTLING = 3.0
"""How much longer than from a look to a write is waited before looking again: others take as long
at the same registry."""

_LONGEST = 5.0
_JITTER = (0.1, 0.3)
"""Seconds."""


class RegistryCache:
    """The cache called `reference`; of an image for several platforms that for `platform`."""

    def __init__(
        self,
        registry: Registry,
        reference: Reference,
        platform: Platform,
        emit: Emit,
        cancel: Cancel,
    ) -> None:
        self.name = reference.familiar
        self._registry = registry
        self._reference = reference
        self._platform = platform
        self._emit = emit
        self._cancel = cancel
        self._repository: Repository | None = None

    def load(self) -> Loaded:
        """See `CacheReader`."""
        sources = self._registry.sources(self._reference)
        for repository in sources:
            try:
                found = repository.manifest(self._reference.digest or self._reference.tag)
                self._repository = repository
                return self._loaded(repository, found)
            except Cancelled:
                raise
            except (RegistryError, ImageError):
                if repository is sources[-1]:
                    raise
        raise RegistryError(f"{self.name} can be had from nowhere")

    @contextmanager
    def open(self, layer: Descriptor) -> Iterator[Reader]:
        """See `CacheReader`."""
        repository = self._repository
        assert repository is not None, "loaded first"
        reader = repository.blob(layer, what=f"layer {layer.digest.hex[:12]} of {self.name}")
        try:
            yield reader
        finally:
            reader.close()

    def write(self, makers: Sequence[Make], merge: Merge) -> Digest:
        """See `CacheWriter`."""
        home = self._registry.home(self._reference)
        parcels = [_parcel(make) for make in makers]
        push_blobs(self._registry, home, parcels, self._emit)
        gone: frozenset[Digest] = frozenset()
        for _ in range(_ROUNDS):
            before, there = self._there(home)
            if there is not None:
                kept = {one: layer for one, layer in there.layers.items() if one not in gone}
                there = there._replace(layers=kept)
            made = merge(there)
            if made is None and there is not None:
                return there.digest
            assert made is not None
            self._put_config(home, made)
            begun = time.monotonic()
            if home.digest_of(self._reference.tag) != before:
                continue
            try:
                digest = home.put_manifest(self._reference.tag, made.manifest, made.media_type)
            except RegistryError as error:
                if there is None or gone or error.status not in _UNKNOWN_BLOB:
                    raise
                gone = self._gone(home, there)
                if not gone:
                    raise
                continue
            self._settle(time.monotonic() - begun)
            if home.digest_of(self._reference.tag) == digest:
                return digest
        raise RegistryError(
            f"{self.name}: other writers replace the cache all the time",
            hint="give each of them a name of its own, and read all of them",
        )

    def _settle(self, took: float) -> None:
        """Wait until whoever looked before we wrote has written, too; `took`: seconds for both."""
        seconds = min(_SETTLING * took, _LONGEST) + random.uniform(*_JITTER)  # noqa: S311
        if self._cancel.wait(seconds):
            self._cancel.check()

    def _there(self, home: Repository) -> tuple[Digest | None, Loaded | None]:
        """Return the digest of what is there, and the cache to be merged with.

        None where there is none, or a damaged one. Raises RegistryError rather than have an image
        replaced.
        """
        try:
            found = home.manifest(self._reference.tag)
        except NotFoundError:
            return None, None
        digest = found.descriptor.digest
        if found.descriptor.media_type in INDEXES:
            # A cache of Moby BuildKit is an index of layers; one of images names platforms.
            if any(one.platform for one in Index.parse(found.data, self.name).manifests):
                raise self._taken()
            return digest, None
        if Manifest.parse(found.data, self.name).config.media_type in CONFIGS:
            raise self._taken()
        try:
            return digest, self._loaded(home, found)
        except (ImageError, NotFoundError):
            return digest, None

    def _taken(self) -> RegistryError:
        return RegistryError(
            f"{self.name} is an image, which a cache must not replace",
            hint="give the cache another tag, or use type=inline",
        )

    def _gone(self, home: Repository, there: Loaded) -> frozenset[Digest]:
        """Return the layers whose blobs the registry has lost."""
        return frozenset(
            diff_id for diff_id, layer in there.layers.items() if not home.has_blob(layer.digest)
        )

    def _loaded(self, repository: Repository, found: Found) -> Loaded:
        what = f"manifest {found.descriptor.digest} of {self.name}"
        if found.descriptor.media_type in INDEXES:
            found = self._chosen(repository, found)
        manifest = Manifest.parse(found.data, what)
        config = manifest.config
        data = _whole(repository, config, f"config of {self.name}")
        if config.media_type == CONFIG_TYPE:
            document = CacheDocument.parse(data, f"config of {self.name}")
        elif config.media_type in CONFIGS:
            document = inline_document(data, self.name)
        else:
            raise ImageError(
                f"{self.name} is no cache that pybuild knows: {config.media_type[:80]!r}"
            )
        return Loaded(found.descriptor.digest, document, layers_of(manifest, document, what))

    def _chosen(self, repository: Repository, found: Found) -> Found:
        """Return the manifest for the platform."""
        index = Index.parse(found.data, f"index {found.descriptor.digest} of {self.name}")
        chosen = index.choose(self._platform)
        if chosen is None or chosen.media_type in INDEXES:
            raise ImageError(f"{self.name} has no image for {self._platform}")
        return repository.manifest(chosen.digest, media_type=chosen.media_type)

    def _put_config(self, home: Repository, made: Written) -> None:
        def opened(offset: int) -> Iterator[bytes]:
            yield made.config[offset:]

        digest = Digest.of(made.config)
        parcel = Parcel(digest, len(made.config), opened, f"config {digest.hex[:12]}")
        push_blobs(self._registry, home, [lambda: parcel], self._emit)


def inline_document(config: bytes, name: str) -> CacheDocument:
    """Return the cache in the config of an image. Raises ImageError where there is none."""
    fields = Fields.parse(config, f"config of {name}")
    found = fields.object(IMAGE_MEMBER)
    if found is None:
        raise ImageError(
            f"the image {name} has no cache in it",
            hint="build it with --cache-to type=inline, or name a cache of its own",
        )
    document = CacheDocument.read(found)
    rootfs = fields.object("rootfs")
    diff_ids = () if rootfs is None else rootfs.digests("diff_ids")
    return document._replace(layers=diff_ids)


def _whole(repository: Repository, blob: Descriptor, what: str) -> bytes:
    """Return a small blob, verified."""
    if blob.size > MAX_CONFIG:
        raise ImageError(f"{what}: {blob.size} bytes are too many")
    reader = repository.blob(blob, what=what)
    try:
        parts = []
        while data := reader.read(1 << 20):
            parts.append(data)
    finally:
        reader.close()
    data = b"".join(parts)
    if Digest.of(data) != blob.digest:
        raise ImageError(f"{what} is not what its digest says")
    return data


def _parcel(make: Make) -> Callable[[], Parcel]:
    def made() -> Parcel:
        blob: Blob = make()
        return Parcel(blob.digest, blob.size, blob.open, blob.what)

    return made
