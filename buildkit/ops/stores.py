"""The stores that ops draw on."""

from __future__ import annotations

from runtime.typed import Protocol
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.cache.store import CacheStore
    from buildkit.llb.op import CacheMount
    from buildkit.oci.digest import Digest
    from buildkit.snapshot.store import SnapshotStore
    from buildkit.state.root import StateRoot


class Offered(Protocol):
    """What shared caches have besides steps and layers. Any thread may ask."""

    def selection(self, chain: Digest, spec: str) -> Digest | None:
        """Return what `spec` (`ops.remembered`) selects from a snapshot, None when nobody knows."""
        ...

    def twin(self, parent: str, diff_id: Digest, since: int | None) -> tuple[Digest, str] | None:
        """Return diff ID and time (RFC 3339) of an earlier result on the chain ID `parent`.

        One that is the new layer `diff_id` in all but times: taken in its place, it leaves what
        was built on it elsewhere of use. `since`: as in `SnapshotStore.commit`. Raises Cancelled.
        """
        ...

    def fill(self, mounts: Sequence[CacheMount]) -> None:
        """Fill the directories of cache mounts that are empty here, as far as they are offered.

        What cannot be had is warned of. Raises Cancelled, StoreError.
        """
        ...


class Stores(NamedTuple):
    """All on one state root, and what is `offered` from elsewhere."""

    root: StateRoot
    snapshots: SnapshotStore
    cache: CacheStore
    offered: Offered | None = None
