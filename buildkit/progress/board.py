"""What a terminal shows of a build, as texts: lines that stay, and below them what is going on.

In: events. Out: finished steps as lines; for each running step its name, its time and the last
lines it printed; transfers, to be drawn as bars. Pure but for its state.
"""

from __future__ import annotations

from collections import deque

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
from runtime.typed import assert_never
from runtime.values import NamedTuple

LOG_LINES = 6

_PARTIAL_LIMIT = 4096


class Going(NamedTuple):
    """The line of a step that runs; where it is too long, `time` is what must be seen of it."""

    what: str
    time: str


class _Running:
    """A step that runs: since when, and what it printed last."""

    def __init__(self, name: str, started: float) -> None:
        self.name = name
        self.started = started
        self.tail: deque[str] = deque(maxlen=LOG_LINES)
        self.partial = b""

    def log(self, data: bytes) -> None:
        *lines, self.partial = (self.partial + data).split(b"\n")
        self.tail.extend(output_line(line, colours=False) for line in lines[-LOG_LINES:])
        self.partial = self.partial[-_PARTIAL_LIMIT:]

    def last(self, amount: int) -> list[str]:
        """Return the last lines, the one not yet ended included."""
        partial = [output_line(self.partial, colours=False)] if self.partial.strip() else []
        return [*self.tail, *partial][-amount:] if amount > 0 else []


class Board:
    """What is to be seen, as texts; pure but for its state."""

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}
        self._moved: dict[str, Moved] = {}

    def busy(self) -> bool:
        """Tell whether there is something live to show."""
        return bool(self._running or self._moved)

    def feed(self, event: Event, now: float) -> list[str]:
        """Return the lines that `event` adds for good."""
        match event:
            case StepStarted():
                return []
            case StepCached(name=name):
                return [f"=> CACHED {visible(name)}"]
            case StepMissed(number=number, name=name, why=why):
                self._running[number] = _Running(visible(name), now)
                return [f"=> {visible(name)}: {visible(why)}"] if why else []
            case StepLog(number=number, data=data):
                if number in self._running:
                    self._running[number].log(data)
                return []
            case StepDone() | StepFailed():
                return [self._end(event)]
            case Moved():
                return self._transfer(event)
            case Warned(message=message, place=place):
                where = f"{visible(place)}: " if place else ""
                return [f"WARNING: {where}{visible(message)}"]
            case Note(message=message):
                return [visible(message)]
            case _:
                assert_never(event)

    def _end(self, event: StepDone | StepFailed) -> str:
        self._running.pop(event.number, None)
        name = visible(event.name)
        if isinstance(event, StepDone):
            more = f" ({visible(event.note)})" if event.note else ""
            return f"=> {name} {event.seconds:.1f}s{more}"
        return (
            f"=> CANCELED {name}"
            if event.cancelled
            else f"=> ERROR {name}: {visible(event.message)}"
        )

    def live(self, now: float, height: int) -> list[str | Going | Moved]:
        """Return the live lines from top to bottom, `height` at most; a `Moved` is to be a bar."""
        rows: list[str | Going | Moved] = []
        room = height - len(self._running) - len(self._moved)
        each = min(LOG_LINES, max(0, room) // max(1, len(self._running)))
        for step in self._running.values():
            rows.append(Going(f"=> {step.name}", f" {now - step.started:.1f}s"))
            rows += [f"   {line}" for line in step.last(each)]
        rows += self._moved.values()
        return rows[:height]

    def _transfer(self, event: Moved) -> list[str]:
        if 0 < event.total <= event.done:
            self._moved.pop(event.what, None)
            return [f"=> {visible(event.what)} done"]
        self._moved[event.what] = event._replace(what=visible(event.what))
        return []
