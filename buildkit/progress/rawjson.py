"""Progress for programs: one JSON object a line and event.

Every object has `event` (the kind) and `time` (seconds since the epoch when it was shown); the
other fields are those of the event's class in `buildkit/progress/events.py`, by their names:

    {"event":"step-started","number":5,"name":"[build 2/4] RUN make","time":1700000000.123}
    {"event":"step-missed","number":5,"name":"...","why":"src/a.py changed","time":...}
    {"event":"step-log","number":5,"data":"<base64>","seconds":0.412,"stream":1,"time":...}
    {"event":"step-done","number":5,"name":"...","seconds":9.9,"note":"","time":...}

The kinds: step-started, step-cached, step-missed, step-log, step-done, step-failed, moved, warned,
note. Fields may be added later, none is taken away.
"""

from __future__ import annotations

import base64
import json
import threading
import time

from buildkit.progress import events
from buildkit.progress.display import Display, Output
from buildkit.progress.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


KINDS: dict[type[tuple[Any, ...]], str] = {
    events.StepStarted: "step-started",
    events.StepCached: "step-cached",
    events.StepMissed: "step-missed",
    events.StepLog: "step-log",
    events.StepDone: "step-done",
    events.StepFailed: "step-failed",
    events.Moved: "moved",
    events.Warned: "warned",
    events.Note: "note",
}


class RawJsonDisplay(Display):
    """Writes events as lines of JSON."""

    def __init__(self, stream: TextIO) -> None:
        self._output = Output(stream)
        self._mutex = threading.Lock()

    def emit(self, event: Event) -> None:
        """Write `event`."""
        fields: dict[str, object] = {"event": KINDS[type(event)], "time": time.time()}
        fields.update(event._asdict())
        data = fields.get("data")
        if isinstance(data, bytes):
            fields["data"] = base64.b64encode(data).decode("ascii")
        line = json.dumps(fields, separators=(",", ":"))
        with self._mutex:
            self._output.write(line + "\n")

    def close(self) -> None:
        """Do nothing: every line was written at once."""
