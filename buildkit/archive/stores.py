"""The stores that an image is taken into."""

from __future__ import annotations

from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.content.store import BlobStore
    from buildkit.images import ImageStore
    from buildkit.snapshot.store import SnapshotStore
    from buildkit.state.root import StateRoot


class Stores(Protocol):
    """The stores that an image is looked up in and pulled into."""

    @property
    def root(self) -> StateRoot:
        """The state root."""
        ...

    @property
    def snapshots(self) -> SnapshotStore:
        """Layers and trees."""
        ...

    @property
    def blobs(self) -> BlobStore:
        """Manifests, configs, compressed layers."""
        ...

    @property
    def images(self) -> ImageStore:
        """Names."""
        ...
