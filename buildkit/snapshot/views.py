"""Looking at snapshots: merged trees as descriptors, a few of them kept for the next who asks.

A view is an overlay of the layers that is mounted nowhere; it ends with its descriptor. Making
one costs about half a millisecond, and a step looks at its parent more than once.
"""

from __future__ import annotations

import contextlib
import os
from _thread import allocate_lock  # `threading` itself is 1 ms for classes

from runtime.mounts import mounted_overlay_fd
from runtime.typed import overload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from buildkit.oci.digest import Digest
    from buildkit.snapshot.snapshot import Snapshot


_KEPT = 6


class _View:
    __slots__ = ("fd", "users")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0


class Views:
    """Views by chain ID. `lowers` tells what to stack. Any thread may use it; `close` once."""

    def __init__(self, lowers: Callable[[Snapshot], Sequence[str]]) -> None:
        self._lowers = lowers
        self._views: dict[Digest, _View] = {}
        self._mutex = allocate_lock()

    @contextlib.contextmanager
    def view(self, snapshot: Snapshot) -> Iterator[int]:
        """Give a descriptor of the merged tree (O_PATH, read-only) for the time of the block."""
        view = self._take(snapshot.chain)
        if view is None:
            # Without the lock: finding the layers may need a view of those below.
            new = _View(mounted_overlay_fd(self._lowers(snapshot)))
            view = self._take(snapshot.chain, new)
            if view is not new:
                os.close(new.fd)
        try:
            yield view.fd
        finally:
            with self._mutex:
                view.users -= 1
                self._close_idle(_KEPT)

    def close(self) -> None:
        """Close what nobody uses."""
        with self._mutex:
            self._close_idle(0)

    @overload
    def _take(self, chain: Digest) -> _View | None: ...

    @overload
    def _take(self, chain: Digest, new: _View) -> _View: ...

    def _take(self, chain: Digest, new: _View | None = None) -> _View | None:
        """Return the view that is there, else `new`, with one more user."""
        with self._mutex:
            view = self._views.pop(chain, new)
            if view is not None:
                # The dictionary is in order of use.
                self._views[chain] = view
                view.users += 1
            return view

    def _close_idle(self, kept: int) -> None:
        for chain, view in list(self._views.items()):
            if len(self._views) <= kept:
                return
            if not view.users:
                del self._views[chain]
                os.close(view.fd)
