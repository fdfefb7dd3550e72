"""The stores that ops draw on."""

from buildkit.cache.store import CacheStore
from buildkit.snapshot.store import SnapshotStore
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple


class Stores(NamedTuple):
    """All on one state root."""

    root: StateRoot
    snapshots: SnapshotStore
    cache: CacheStore
