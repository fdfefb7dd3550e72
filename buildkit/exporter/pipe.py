"""From a function that pushes bytes to a reader that is pulled from.

In: a producer, which gives blocks to a sink. Out: a reader of the same bytes. The producer runs
in a thread of its own, a few blocks ahead, so compressing and writing overlap.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

from buildkit.content.streams import CHUNK, Reader, Sink

_AHEAD = 8
_LARGE = 2 * CHUNK
"""Bytes from which on a block is cut up: zstd gives 8 MiB at once, and a few of them are much."""


class _Stopped(Exception):  # noqa: N818 - no error: the reader wants no more
    """Ends the producer."""


class _Pipe:
    def __init__(self) -> None:
        self.blocks: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
        self.stopped = False
        self._rest = b""
        self._ended = False

    def put(self, block: bytes) -> None:
        if len(block) > _LARGE:
            for start in range(0, len(block), CHUNK):
                self.put(block[start : start + CHUNK])
            return
        if self.stopped:
            raise _Stopped
        if block:
            self.blocks.put(block)

    def read(self, size: int, /) -> bytes:
        if not self._rest and not self._ended:
            found = self.blocks.get()
            if isinstance(found, BaseException):
                self._ended = True
                raise found
            if found is None:
                self._ended = True
            else:
                self._rest = found
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def stop(self) -> None:
        """Let the producer run into its end."""
        self.stopped = True
        with contextlib.suppress(queue.Empty):
            while True:
                self.blocks.get_nowait()


@contextlib.contextmanager
def produced(produce: Callable[[Sink], object]) -> Iterator[Reader]:
    """Give a reader of what `produce` gives to the sink it is called with, in another thread.

    What `produce` raises, the reader raises. The thread has ended when the block has.
    """
    pipe = _Pipe()

    def run() -> None:
        try:
            produce(pipe.put)
        except _Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised again by the reader
            pipe.blocks.put(error)
        else:
            pipe.blocks.put(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield pipe
    finally:
        while thread.is_alive():
            pipe.stop()
            thread.join(0.02)
