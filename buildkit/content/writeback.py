"""Files that are synced while they are written, so that the sync at the end has little to do.

In: blocks. Out: a file that is on the disk. A second thread asks for what was written so far to
be brought to the disk, time and again; small files never start it. Source: fdatasync(2).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

_STRETCH = 32 << 20
"""Bytes after which the second thread is told."""


class SyncedFile:
    """Writes to the descriptor `fd`, which stays the caller's. End with one of the last three."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._unsynced = 0
        self._ended = False
        self._failure: OSError | None = None
        self._wanted: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def write(self, block: bytes) -> None:
        """Write `block` whole. Raises OSError, also for what could not be synced before."""
        view = memoryview(block)
        while view:
            view = view[os.write(self._fd, view) :]
        self._unsynced += len(block)
        if self._unsynced >= _STRETCH:
            self._unsynced = 0
            if self._failure is not None:
                raise self._failure
            self._start()

    def rewrite(self, offset: int, data: bytes) -> None:
        """Put `data`, a few bytes, in place of what was written at `offset`. Raises OSError."""
        os.pwrite(self._fd, data, offset)

    def finish(self) -> None:
        """Sync the rest. Raises OSError."""
        self.settle()
        os.fsync(self._fd)

    def settle(self) -> None:
        """End the second thread, for a file that others will sync.

        Raises OSError for what could not be synced so far: the kernel tells that once only, so a
        later sync would not (fsync(2), "EIO").
        """
        self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the second thread, before the descriptor is closed; may be called again."""
        self._ended = True
        if self._thread is not None and self._wanted is not None:
            self._wanted.set()
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        if self._thread is None or self._wanted is None:
            import threading  # for large files only: 1 ms

            self._wanted = threading.Event()
            self._thread = threading.Thread(target=self._sync, args=(self._wanted,), daemon=True)
            self._thread.start()
        self._wanted.set()

    def _sync(self, wanted: threading.Event) -> None:
        while wanted.wait() and not self._ended:
            wanted.clear()
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._failure = error
                return
