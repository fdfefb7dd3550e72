"""Kinds of places by name: which backend reads and writes a cache.

In: a `CachePlace`. Out: a `CacheReader` or a `CacheWriter`. A new kind is a module here, a case in
both functions and its word in `attributes.py`. The registry client is imported with its case.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, assert_never

from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit
from buildkit.remotecache.attributes import CachePlace
from buildkit.remotecache.backend import CacheReader, CacheWriter
from buildkit.remotecache.directory import DirectoryCache

if TYPE_CHECKING:
    from buildkit.remotecache.registry import RegistryCache


def reader_of(
    place: CachePlace, platform: Platform, emit: Emit, cancel: Cancel, stack: ExitStack
) -> CacheReader:
    """Return what reads the cache at `place`; what it has open goes on `stack`."""
    match place.kind:
        case "local":
            return DirectoryCache(place.directory, place.tag, place.digest)
        case "registry" | "inline":
            return _registry(place, platform, emit, cancel, stack)
        case _:
            assert_never(place.kind)


def writer_of(
    place: CachePlace,
    platform: Platform,
    emit: Emit,
    cancel: Cancel,
    stack: ExitStack,
    damaged: frozenset[Digest],
) -> CacheWriter | None:
    """Return what writes the cache at `place`; None when it travels inside of the image.

    `damaged`: blobs that were found there and are not what they should be.
    """
    match place.kind:
        case "local":
            return DirectoryCache(place.directory, place.tag, reset=place.reset, damaged=damaged)
        case "registry":
            return _registry(place, platform, emit, cancel, stack)
        case "inline":
            return None
        case _:
            assert_never(place.kind)


def _registry(
    place: CachePlace, platform: Platform, emit: Emit, cancel: Cancel, stack: ExitStack
) -> RegistryCache:
    # urllib3 and ssl, 80 ms: only when a registry is meant
    from buildkit.registry.client import Access, Registry
    from buildkit.remotecache.registry import RegistryCache

    assert place.reference is not None
    access = Access(verify=False if place.insecure else None)
    registry = stack.enter_context(Registry(cancel, access, emit=emit))
    return RegistryCache(registry, place.reference, platform, emit, cancel)
