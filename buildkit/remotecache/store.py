"""The cache of a build that also draws on shared ones: a `CacheStore` over the local one.

In: the local cache, and a function that gives what the shared ones say. Out: records of either; the
local one counts first as long as its layer is here. What was found elsewhere is kept here once its
layer is here, too, so that the next build needs nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from buildkit.cache.key import CacheKey
from buildkit.cache.local import LocalCacheStore
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.progress.cancel import Cancel
from buildkit.remotecache.document import SharedStep
from buildkit.snapshot.layers import Layers


class SharedCacheStore:
    """`shared` gives the steps of all shared caches by key, best first; it may take its time."""

    def __init__(
        self,
        local: LocalCacheStore,
        layers: Layers,
        shared: Callable[[], Mapping[CacheKey, Sequence[SharedStep]]],
        offers: Callable[[Digest], bool],
    ) -> None:
        self._local = local
        self._layers = layers
        self._shared = shared
        self._offers = offers
        self._taken: dict[CacheKey, SharedStep] = {}

    def find(self, key: CacheKey) -> CachedStep | None:
        """See `CacheStore`."""
        record = self._local.find(key)
        if record is not None and self._layers.has((record.diff_id,)):
            return record
        for step in self._shared().get(key, ()):
            if self._offers(step.diff_id) or self._layers.has((step.diff_id,)):
                self._taken[key] = step
                return step.cached()
        return record

    def keep(self) -> None:
        """Keep the records found elsewhere whose layers are here now."""
        for step in self._taken.values():
            if self._layers.has((step.diff_id,)):
                self._local.save(step.cached(), {})

    def save(self, step: CachedStep, manifests: Mapping[str, bytes]) -> None:
        """See `CacheStore`."""
        self._taken.pop(step.key, None)
        self._local.save(step, manifests)

    def touch(self, keys: Iterable[CacheKey]) -> None:
        """See `CacheStore`."""
        self._local.touch(keys)

    def candidates(self, parent: str, fingerprint: Fingerprint) -> Sequence[tuple[Digest, str]]:
        """See `CacheStore`. A shared cache knows no fingerprints, which are a store's own."""
        return self._local.candidates(parent, fingerprint)

    def claim(self, key: CacheKey, cancel: Cancel) -> AbstractContextManager[None]:
        """See `CacheStore`."""
        return self._local.claim(key, cancel)

    def document(self, key: CacheKey) -> str | None:
        """See `CacheStore`."""
        found = self._local.document(key)
        step = self._taken.get(key)
        return found if found is not None or step is None else step.document

    def manifest(self, digest: str) -> bytes | None:
        """See `CacheStore`."""
        return self._local.manifest(digest)
