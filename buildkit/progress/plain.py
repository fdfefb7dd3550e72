r"""Progress as text that is only ever appended to: for logs, pipes and whoever prefers it.

In: events. Out: lines in the manner of BuildKit, each with the number of its step:

    #5 [build 2/4] RUN make
    #5 why: src/a.py changed
    #5 0.412 cc -c a.c
    #5 DONE 9.9s

    #6 [build 3/4] COPY . .
    #6 CACHED

Steps that run at once take turns: one keeps the screen while it prints, for `TURN` seconds at most
when others wait, and `#5 ...` says that it is not finished. A step's output is cut off after
`log_limit` bytes; the log file has all of it.
"""

from __future__ import annotations

import threading
import time

from buildkit.progress.display import Display, Output
from buildkit.progress.escape import visible
from buildkit.progress.events import (
    Event,
    Moved,
    Note,
    StepCached,
    StepDone,
    StepFailed,
    StepLog,
    StepMissed,
    StepStarted,
    Warned,
)
from buildkit.progress.output_text import output_line
from buildkit.sizes import limit_text, size_text
from runtime.typed import assert_never

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


LOG_LIMIT = 2 << 20
TURN = 5.0
QUIET = 1.0
"""Seconds without output after which a step gives the screen to one that waits."""

_TICK = 0.25
_MOVED_EVERY = 5.0
_LINE_LIMIT = 64 << 10


class _Step:
    """What was not yet shown of one step."""

    def __init__(self, name: str) -> None:
        self.heading = visible(name)
        self.lines: list[str] = []
        self.partial = b""
        self.logged = 0
        self.ended = False


class PlainText:
    """Events to text; pure but for its state. `now` is in seconds and only ever grows."""

    def __init__(self, *, colours: bool = True, log_limit: int = LOG_LIMIT) -> None:
        self._colours = colours
        self._log_limit = log_limit
        self._steps: dict[int, _Step] = {}
        self._owner: int | None = None
        self._since = 0.0
        self._last = 0.0
        self._moved: dict[str, float] = {}

    def waiting(self) -> bool:
        """Tell whether a step waits for its turn, so that `turn` is to be called soon."""
        return any(step.lines for step in self._steps.values())

    def feed(self, event: Event, now: float) -> str:
        """Return what is to be shown now that `event` came."""
        match event:
            case StepStarted(number=number, name=name):
                self._steps[number] = _Step(name)
                return ""
            case StepCached(number=number):
                return self._add(number, ["CACHED"], now, ended=True)
            case StepMissed(number=number, why=why):
                return self._add(number, [f"why: {visible(why)}"] if why else [], now)
            case StepLog(number=number):
                return self._add(number, self._log_lines(event), now)
            case StepDone(number=number, seconds=seconds, note=note):
                more = f" ({visible(note)})" if note else ""
                return self._add(number, [f"DONE {seconds:.1f}s{more}"], now, ended=True)
            case StepFailed(number=number):
                word = "CANCELED" if event.cancelled else f"ERROR: {visible(event.message)}"
                return self._add(number, [word], now, ended=True)
            case Moved():
                return self._transfer(event, now)
            case Warned(message=message, place=place):
                where = f"{visible(place)}: " if place else ""
                return f"WARNING: {where}{visible(message)}\n"
            case Note(message=message):
                return f"{visible(message)}\n"
            case _:
                assert_never(event)

    def turn(self, now: float) -> str:
        """Return what a step that waits may show now."""
        if self._owner is not None:
            if now - self._last < QUIET and now - self._since < TURN:
                return ""
            if not any(step.lines for name, step in self._steps.items() if name != self._owner):
                return ""
        text = self._leave()
        for number, step in list(self._steps.items()):
            if step.lines:
                text += self._take(number, now)
                if not step.ended:
                    break
        return text

    def finish(self) -> str:
        """Return all that was held back."""
        text = self._leave() if self.waiting() else ""
        for number, step in list(self._steps.items()):
            if step.lines:
                text += self._take(number, 0.0) + self._leave()
        return text

    def _add(self, number: int, lines: list[str], now: float, *, ended: bool = False) -> str:
        """Add `lines` to step `number`; return what may be shown."""
        step = self._steps.get(number)
        if step is None:
            step = self._steps[number] = _Step("")
        if ended:
            step.ended = True
            if step.partial:
                step.lines.append(output_line(step.partial, colours=self._colours))
                step.partial = b""
        step.lines += lines
        if self._owner is None or self._owner == number:
            text = self._take(number, now)
            return text + self.turn(now) if ended else text
        return self.turn(now)

    def _take(self, number: int, now: float) -> str:
        """Show what there is of step `number`, which has the screen from now on."""
        step = self._steps[number]
        text = ""
        if self._owner != number:
            self._owner, self._since = number, now
            text = f"#{number} {step.heading}\n"
        self._last = now
        text += "".join(f"#{number} {line}\n" for line in step.lines)
        step.lines = []
        if step.ended:
            del self._steps[number]
            self._owner = None
            text += "\n"
        return text

    def _leave(self) -> str:
        """Take the screen from the step that has it."""
        number, self._owner = self._owner, None
        return "" if number is None else f"#{number} ...\n\n"

    def _log_lines(self, event: StepLog) -> list[str]:
        """Return the lines that `event` completes, cut off at the limit."""
        step = self._steps.setdefault(event.number, _Step(""))
        room = self._log_limit - step.logged
        step.logged += len(event.data)
        if 0 <= self._log_limit < step.logged:
            if room < 0:
                return []
            data = event.data[:room]
        else:
            data = event.data
        *lines, step.partial = (step.partial + data).split(b"\n")
        if len(step.partial) > _LINE_LIMIT:
            lines.append(step.partial)
            step.partial = b""
        stamp = f"{event.seconds:.3f} "
        shown = [stamp + output_line(line, colours=self._colours) for line in lines]
        if 0 <= self._log_limit < step.logged:
            shown.append(f"[output clipped, log limit {limit_text(self._log_limit)} reached]")
            step.partial = b""
        return shown

    def _transfer(self, event: Moved, now: float) -> str:
        """Return a line at the end of a transfer, and every few seconds of a long one."""
        ended = 0 < event.total <= event.done
        if not ended and now - self._moved.setdefault(event.what, now) < _MOVED_EVERY:
            return ""
        self._moved[event.what] = now
        if ended:
            del self._moved[event.what]
            return f"{visible(event.what)} {size_text(event.done)} done\n"
        total = f" / {size_text(event.total)}" if event.total else ""
        return f"{visible(event.what)} {size_text(event.done)}{total}\n"


class PlainDisplay(Display):
    """Writes `PlainText` to a stream. A thread gives turns, once two steps run at the same time."""

    def __init__(self, stream: TextIO, *, colours: bool = True, log_limit: int = LOG_LIMIT) -> None:
        self._output = Output(stream)
        self._text = PlainText(colours=colours, log_limit=log_limit)
        self._mutex = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, event: Event) -> None:
        """Show `event` when it is its step's turn."""
        with self._mutex:
            self._output.write(self._text.feed(event, time.monotonic()))
            if self._thread is None and self._text.waiting() and not self._closed.is_set():
                self._thread = threading.Thread(
                    target=self._give_turns, name="pybuild-progress", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Show what was held back."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        with self._mutex:
            self._output.write(self._text.finish())

    def _give_turns(self) -> None:
        while not self._closed.wait(_TICK):
            with self._mutex:
                self._output.write(self._text.turn(time.monotonic()))
