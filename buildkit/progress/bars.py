"""The live lines of a terminal, drawn by tqdm; the only module that imports it.

In: texts and transfers, a few times a second, from one thread. Out: lines at the bottom of the
screen that are drawn over, and text above them that stays.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from tqdm import tqdm
from tqdm.utils import disp_len, disp_trim

from buildkit.progress.board import Going
from buildkit.progress.events import Moved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TextIO


_TRANSFER = "{desc} {bar:24} {n_fmt}/{total_fmt}"
_OPEN_TRANSFER = "{desc} {n_fmt}"
_MOST_ROWS = 24


class Bars:
    """Live lines on `stream`; take them off with `close`."""

    def __init__(self, stream: TextIO) -> None:
        # Else tqdm imports multiprocessing for its lock and starts a thread that watches it.
        tqdm.set_lock(threading.RLock())
        tqdm.monitor_interval = 0
        self._stream = stream
        self._rows: list[tqdm[NoReturn]] = []

    def height(self) -> int:
        """Return how many live lines there may be."""
        return max(1, min(_MOST_ROWS, self._size()[1] - 2))

    def write(self, lines: Sequence[str]) -> None:
        """Write `lines` above the live ones; once a tick, since all of them are drawn anew."""
        if lines:
            tqdm.write("\n".join(lines), file=self._stream)

    def show(self, rows: Sequence[str | Going | Moved]) -> None:
        """Make `rows` the live lines."""
        while len(self._rows) > len(rows):
            self._rows.pop().close()
        width = self._size()[0] - 1
        for position, row in enumerate(rows):
            if position == len(self._rows):
                self._rows.append(self._new(position))
            bar = self._rows[position]
            if isinstance(row, Moved):
                bar.bar_format = _TRANSFER if row.total else _OPEN_TRANSFER
                bar.total = row.total or None
                bar.n = row.done
                bar.set_description_str(disp_trim(row.what, max(10, width - 50)), refresh=False)
            else:
                bar.bar_format = "{desc}"
                bar.set_description_str(_fitting(row, width), refresh=False)
            bar.refresh()

    def close(self) -> None:
        """Take the live lines off the screen."""
        self.show(())

    def _new(self, position: int) -> tqdm[NoReturn]:
        bar: tqdm[NoReturn] = tqdm(
            position=position,
            leave=False,
            file=self._stream,
            bar_format="{desc}",
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
        )
        return bar

    def _size(self) -> tuple[int, int]:
        """Return columns and lines of the terminal; 80 and 24 if it does not say."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return size.columns or 80, size.lines or 24


def _fitting(row: str | Going, width: int) -> str:
    """Return a row cut to `width` columns, with the time of a step that runs at its end."""
    if isinstance(row, str):
        return str(disp_trim(row, width))
    if disp_len(row.what) + len(row.time) <= width:
        return row.what + row.time
    return f"{disp_trim(row.what, max(0, width - len(row.time) - 3))}...{row.time}"
