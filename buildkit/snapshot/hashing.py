"""Sinks that hash: sha256 of a stream, in a thread of its own once the stream is long.

hashlib lets go of the interpreter, so reading and packing go on meanwhile. Short streams are
hashed in place, for a thread costs as much as 100 KiB of sha256.
"""

from __future__ import annotations

import hashlib
import queue
import threading

from buildkit.content.streams import Reader
from buildkit.oci.digest import Digest

_IN_PLACE = 2 << 20
_AHEAD = 8


class HashingSink:
    """A sink (call it with bytes) that gives size and digest in the end."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._thread: threading.Thread | None = None
        self._blocks: queue.Queue[bytes | None] | None = None

    def __call__(self, block: bytes) -> None:
        """Take the next bytes."""
        self.size += len(block)
        if self._blocks is not None:
            self._blocks.put(block)
        elif self.size <= _IN_PLACE:
            self._hash.update(block)
        else:
            self._blocks = queue.Queue(_AHEAD)
            self._blocks.put(block)
            self._thread = threading.Thread(target=self._run, args=(self._blocks,), daemon=True)
            self._thread.start()

    def digest(self) -> Digest:
        """Return the digest of all so far, and end."""
        self.close()
        return Digest("sha256:" + self._hash.hexdigest())

    def close(self) -> None:
        """End the thread. May be called twice."""
        if self._blocks is not None and self._thread is not None:
            self._blocks.put(None)
            self._thread.join()
            self._blocks = self._thread = None

    def __enter__(self) -> HashingSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, blocks: queue.Queue[bytes | None]) -> None:
        while (block := blocks.get()) is not None:
            self._hash.update(block)


class HashingReader(HashingSink):
    """Passes a stream on and hashes it. `failure` is what reading raised, if it did."""

    def __init__(self, source: Reader) -> None:
        super().__init__()
        self._source = source
        self.failure: OSError | None = None

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        try:
            data = self._source.read(size)
        except OSError as error:
            self.failure = error
            raise
        if data:
            self(data)
        return data
