"""What a build needs from the machine: made once by the command line, seen by `build`."""

from __future__ import annotations

import threading

from buildkit.cache.local import LocalCacheStore
from buildkit.content.local import LocalBlobStore
from buildkit.images import ImageStore
from buildkit.ops.stores import Stores
from buildkit.records.store import RecordStore
from buildkit.snapshot.overlay import OverlayStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from buildkit.state.root import StateRoot


class Worker:
    """Stores on one state root. A context manager; `root` stays the caller's."""

    def __init__(self, root: StateRoot) -> None:
        self.root = root
        self.snapshots = OverlayStore(root)
        self.cache = LocalCacheStore(root)
        self.images = ImageStore(root)
        self.blobs = LocalBlobStore(root)
        self.records = RecordStore(root)
        self._behind: list[threading.Thread] = []

    def stores(self) -> Stores:
        """Return the stores that ops draw on."""
        return Stores(self.root, self.snapshots, self.cache)

    def behind(self, task: Callable[[], object]) -> None:
        """Do `task` beside what else there is to do; it is waited for when the worker is left."""
        thread = threading.Thread(target=task)
        thread.start()
        self._behind.append(thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.snapshots.close()
        for thread in self._behind:
            thread.join()
