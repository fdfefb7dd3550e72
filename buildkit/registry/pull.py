"""Pulling: from a reference to an image whose layers are on their way into a store.

In: a reference and a platform. Out: manifest and config, verified; then the layers, several at
once, each given as a stream to whoever keeps them. The mirrors are asked first, each layer may
come from another one. Guarantees S22, S23, R7.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Protocol
from urllib.parse import urlsplit

from buildkit.content.streams import Reader
from buildkit.errors import Cancelled, ImageError
from buildkit.oci.config import ImageConfig
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import INDEXES, layer_compression
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Moved, Warned
from buildkit.registry.client import Registry
from buildkit.registry.errors import NotFoundError, RegistryError
from buildkit.registry.limits import MAX_CONFIG, MAX_MANIFEST
from buildkit.registry.repository import Found, Repository
from runtime.values import NamedTuple

AT_ONCE = 4
_DEPTH = 4
_MAX_LAYERS = 1000
_TOLD_EVERY = 0.1


class Chosen(NamedTuple):
    """An image that was found. `top`: what the reference itself points to, perhaps an index.

    `sources`: where its blobs can be had, the one that answered first. `data`: the config blob.
    """

    reference: Reference
    top: Digest
    manifest: Found
    document: Manifest
    config: ImageConfig
    data: bytes
    sources: tuple[Repository, ...]

    @property
    def digest(self) -> Digest:
        """The image ID."""
        return self.document.config.digest


class LayerTaker(Protocol):
    """Keeps layers as they come. Any thread may call."""

    def has(self, diff_id: Digest, layer: Descriptor) -> bool:
        """Say whether nothing of the layer is needed any more."""
        ...

    def take(self, source: Reader, diff_id: Digest, layer: Descriptor, what: str) -> None:
        """Read `source` to its end and keep the layer. Raises ImageError when it is another."""
        ...


def resolve(registry: Registry, reference: Reference, platform: Platform, emit: Emit) -> Chosen:
    """Return the image for `platform`. Raises RegistryError, ImageError, Cancelled."""
    sources = registry.sources(reference)
    missed = ""
    for place, repository in enumerate(sources):
        rest = (repository, *sources[place + 1 :], *sources[:place])
        try:
            return _resolved(reference, platform, rest)
        except Cancelled:
            raise
        except (RegistryError, ImageError) as error:
            if repository is sources[-1]:
                error.message += missed
                raise
            missed += f"; mirror {repository.place.endpoint.name}: {error.message}"
            if not isinstance(error, RegistryError) or error.status != 404:
                emit(Warned(f"mirror {repository.place.endpoint.name}: {error.message}"))
    raise RegistryError(f"{reference.familiar} can be had from nowhere")


def newest(registry: Registry, reference: Reference) -> Digest | None:
    """Return what `reference` points to now, None when nothing is there. Raises RegistryError."""
    if reference.digest is not None:
        return reference.digest
    sources = registry.sources(reference)
    for repository in sources:
        try:
            found = repository.digest_of(reference.tag)
        except Cancelled:
            raise
        except (RegistryError, ImageError):
            if repository is sources[-1]:
                raise
            continue
        if found is not None:
            return found
    return None


def fetch(chosen: Chosen, registry: Registry, taker: LayerTaker, emit: Emit) -> None:
    """Bring the layers into the store of `taker`. Raises what goes wrong first."""
    pairs = zip(chosen.config.diff_ids, chosen.document.layers, strict=True)
    todo = [pair for pair in dict(pairs).items() if not taker.has(*pair)]
    if not todo:
        return
    with ThreadPoolExecutor(min(len(todo), AT_ONCE), "pybuild-pull") as pool:
        works = [pool.submit(_fetch_one, chosen, taker, emit, *pair) for pair in todo]
        failure = first_failure(works, registry)
    if failure is not None:
        raise failure


def first_failure(works: Sequence[Future[None]], registry: Registry) -> BaseException | None:
    """Wait for `works`; return what the first to fail raised, having ended the others."""
    try:
        done, pending = wait(works, return_when=FIRST_EXCEPTION)
    except BaseException:  # a signal's exception
        registry.abort()
        raise
    failures = [error for work in done if (error := work.exception()) is not None]
    if not failures:
        return None
    for work in pending:
        work.cancel()
    registry.abort()
    own = [error for error in failures if not isinstance(error, Cancelled) or error.signal]
    return (own or failures)[0]


def _fetch_one(
    chosen: Chosen, taker: LayerTaker, emit: Emit, diff_id: Digest, layer: Descriptor
) -> None:
    """Fetch one layer from the first source that has it whole.

    Its `urls` (image-spec descriptor.md) are not asked: where a manifest points to is no place that
    the user named, and its policies and credentials are not for it.
    """
    try:
        _fetch_from(chosen, taker, emit, diff_id, layer)
    except NotFoundError as error:
        if not layer.urls:
            raise
        host = urlsplit(layer.urls[0]).hostname or "elsewhere"
        raise ImageError(
            f"layer {layer.digest.hex[:12]} is not in the registry; its manifest says that it is "
            f"to be had from {host}, which is not asked",
            hint="push the image with this layer to a registry of your own, or load it from a file",
        ) from error


def _fetch_from(
    chosen: Chosen, taker: LayerTaker, emit: Emit, diff_id: Digest, layer: Descriptor
) -> None:
    for repository in chosen.sources:
        what = f"layer {layer.digest.hex[:12]} of {repository.name}"
        reader = repository.blob(layer, what=what)
        try:
            counted = _Counted(reader, Told(what, layer.size, emit))
            taker.take(counted, diff_id, layer, what)
        except Cancelled:
            raise
        except (RegistryError, ImageError):
            if repository is chosen.sources[-1]:
                raise
        else:
            return
        finally:
            reader.close()


class Told:
    """Tells how far a transfer of `what` is, ten times a second."""

    def __init__(self, what: str, total: int, emit: Emit, done: int = 0) -> None:
        self._what = what
        self._total = total
        self._emit = emit
        self._last = time.monotonic()
        self._done = done

    def more(self, size: int) -> None:
        """Note that `size` more bytes are through."""
        self._done += size
        now = time.monotonic()
        if now - self._last >= _TOLD_EVERY or self._done == self._total:
            self._last = now
            self._emit(Moved(self._what, self._done, self._total))


class _Counted:
    """Passes a stream on and tells how far it is."""

    def __init__(self, source: Reader, told: Told) -> None:
        self._source = source
        self._told = told

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        data = self._source.read(size)
        if data:
            self._told.more(len(data))
        return data


def _resolved(reference: Reference, platform: Platform, sources: tuple[Repository, ...]) -> Chosen:
    repository = sources[0]
    top = repository.manifest(reference.digest or reference.tag)
    found = _for_platform(repository, top, platform, _DEPTH)
    what = f"manifest {found.descriptor.digest} of {repository.name}"
    document = Manifest.parse(found.data, what)
    _check_layers(document, what)
    data = _config(repository, document.config)
    config = ImageConfig.parse(data, f"config {document.config.digest}")
    if len(config.diff_ids) != len(document.layers):
        raise ImageError(
            f"{what} has {len(document.layers)} layers where the config names"
            f" {len(config.diff_ids)}"
        )
    return Chosen(
        reference=reference,
        top=top.descriptor.digest,
        manifest=found,
        document=document,
        config=config,
        data=data,
        sources=sources,
    )


def _for_platform(repository: Repository, found: Found, platform: Platform, depth: int) -> Found:
    """Return the manifest itself or, of an index, the one for `platform`."""
    if found.descriptor.media_type not in INDEXES:
        return found
    if depth == 0:
        raise ImageError(f"{repository.name}: indexes in indexes, too deep")
    index = Index.parse(found.data, f"index {found.descriptor.digest} of {repository.name}")
    chosen = index.choose(platform)
    if chosen is None:
        raise ImageError(f"{repository.name} has no image for {platform}", hint=index.hint())
    if chosen.size > MAX_MANIFEST:
        raise ImageError(f"{repository.name}: a manifest of {chosen.size} bytes is too large")
    below = repository.manifest(chosen.digest, media_type=chosen.media_type, limit=chosen.size)
    if len(below.data) != chosen.size:
        raise ImageError(
            f"manifest {chosen.digest} of {repository.name} has {len(below.data)} bytes instead"
            f" of {chosen.size}"
        )
    return _for_platform(repository, below, platform, depth - 1)


def _check_layers(document: Manifest, what: str) -> None:
    if len(document.layers) > _MAX_LAYERS:
        raise ImageError(f"{what}: more than {_MAX_LAYERS} layers")
    for number, layer in enumerate(document.layers):
        if layer_compression(layer.media_type) is None:
            raise ImageError(
                f"{what}: layers[{number}] is no layer of an image: {layer.media_type[:80]!r}",
                hint="this is an artifact of another kind",
            )


def _config(repository: Repository, config: Descriptor) -> bytes:
    """Return the config blob, verified."""
    what = f"config {config.digest.hex[:12]} of {repository.name}"
    if config.size > MAX_CONFIG:
        raise ImageError(f"{what} has {config.size} bytes, which is too large")
    reader = repository.blob(config, what=what)
    parts = []
    try:
        while data := reader.read(config.size or 1):
            parts.append(data)
    finally:
        reader.close()
    whole = b"".join(parts)
    if Digest.of(whole) != config.digest:
        raise ImageError(f"{what} is not what its digest says: {Digest.of(whole)} came")
    return whole
