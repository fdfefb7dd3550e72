"""Progress on a terminal.

In: events. Out: a `Board`, drawn by one thread that owns the screen. Nothing of that, and no tqdm
(62 ms), is started before something has run for `DELAY` seconds: a cached build pays for none.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

from buildkit.progress.board import Board
from buildkit.progress.display import Display, Output
from buildkit.progress.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from buildkit.progress.bars import Bars

DELAY = 0.2
_TICK = 0.1


class LiveDisplay(Display):
    """Shows a `Board` on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._output = Output(stream)
        self._board = Board()
        self._mutex = threading.Lock()
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def emit(self, event: Event) -> None:
        """Show `event`: at once while nothing runs, else by the thread that owns the screen."""
        with self._mutex:
            if self._thread is not None:
                if self._thread.is_alive():
                    self._events.put(event)
                return
            lines = self._board.feed(event, time.monotonic())
            self._output.write("".join(f"{line}\n" for line in lines))
            if self._board.busy():
                self._thread = threading.Thread(
                    target=self._own_screen, name="pybuild-progress", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Take the live lines off the screen."""
        with self._mutex:
            thread = self._thread
        if thread is not None:
            self._events.put(None)
            thread.join()
            self._thread = None

    def _own_screen(self) -> None:
        try:
            self._draw()
        except (OSError, ValueError):  # the terminal is gone
            return

    def _draw(self) -> None:
        bars = None
        idle_until = time.monotonic()
        going_on = True
        while going_on:
            lines, going_on = self._gather()
            now = time.monotonic()
            if bars is None and self._board.busy() and now - idle_until >= DELAY:
                bars = _bars(self._stream)
            if bars is None:
                self._output.write("".join(f"{line}\n" for line in lines))
                if not self._board.busy():
                    idle_until = now
            else:
                bars.show(self._board.live(now, bars.height()) if going_on else ())
                bars.write(lines)
        if bars is not None:
            bars.close()

    def _gather(self) -> tuple[list[str], bool]:
        """Return the lines of the events of one tick, and whether there will be more."""
        lines: list[str] = []
        end = time.monotonic() + _TICK
        while (left := end - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left)
            except Empty:
                break
            if event is None:
                return lines, False
            lines += self._board.feed(event, time.monotonic())
        return lines, True


def _bars(stream: TextIO) -> Bars:
    # tqdm, 62 ms: only when there is something to look at
    from buildkit.progress.bars import Bars

    return Bars(stream)
