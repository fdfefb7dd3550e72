"""The cache as the solver and the operations see it: what was done before, by its key."""

from __future__ import annotations

from buildkit.cache.result import Usage
from runtime.typed import Protocol
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from buildkit.cache.key import CacheKey
    from buildkit.oci.digest import Digest, Fingerprint
    from buildkit.progress.cancel import Cancel


class CachedStep(NamedTuple):
    """What one step gave: the layer `diff_id` on top of the stack `parent` ("": on nothing, also
    for COPY --link).

    `document` is the key document whose sha256 is `key`. `created` is RFC 3339. `seconds` and
    `usage` are those of the run, `log` names its log file below the state root's `logs/`. `made`:
    when that was, in seconds since the epoch, 0 where it is not known.
    """

    key: CacheKey
    document: str
    parent: str
    diff_id: Digest
    fingerprint: Fingerprint | None
    created: str
    seconds: float = 0.0
    usage: Usage = Usage()
    log: str = ""
    made: float = 0.0


class CacheStore(Protocol):
    """Step records by key. Every method may be called from any thread and any process.

    A record is either whole or not there: one that is damaged is dropped and counts as not there.
    All raise `StoreError` when the store as such cannot be used (damaged, full, read-only).
    """

    def find(self, key: CacheKey) -> CachedStep | None:
        """Return the record of `key`. Says nothing of whether its layer is still there."""
        ...

    def save(self, step: CachedStep, manifests: Mapping[str, bytes]) -> None:
        """Remember `step`, in place of an earlier record of its key, and `manifests` by digest.

        Atomic. Call it only when the layer is whole and under its final name.
        """
        ...

    def touch(self, keys: Iterable[CacheKey]) -> None:
        """Note that the records of `keys`, found before, were used (for collection by age)."""
        ...

    def candidates(self, parent: str, fingerprint: Fingerprint) -> Sequence[tuple[Digest, str]]:
        """Return diff ID and `created` of steps on `parent` whose content had `fingerprint`.

        Newest use first. Candidates only: a fingerprint never decides that contents are equal.
        """
        ...

    def claim(self, key: CacheKey, cancel: Cancel) -> AbstractContextManager[None]:
        """Hold the exclusive right to make the result of `key` on this store.

        Waits while another process (or thread) has it, until `cancel` is set: then raises
        Cancelled. Look again once it is held. Ends with the process that holds it.
        """
        ...

    def document(self, key: CacheKey) -> str | None:
        """Return the key document of `key`."""
        ...

    def manifest(self, digest: str) -> bytes | None:
        """Return the per-file manifest that was saved under `digest`."""
        ...
