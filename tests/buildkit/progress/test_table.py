import base64
import io
import json

import pytest

from buildkit.errors import UsageError
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
from buildkit.progress.plain import PlainDisplay
from buildkit.progress.rawjson import KINDS
from buildkit.progress.table import DISPLAYS, MODES, display_for
from runtime.typed import get_args

EVENTS: tuple[Event, ...] = (
    StepStarted(1, "[1/2] FROM a", 0.0),
    StepCached(1, "[1/2] FROM a"),
    StepStarted(2, "[2/2] RUN \x1b]0;x\x07make", 0.0),
    StepMissed(2, "[2/2] RUN make", "command changed"),
    StepLog(2, b"\xff\x1b]0;x\x07text\n", 0.5, 2),
    StepDone(2, "[2/2] RUN make", 1.5, "same content as before"),
    StepStarted(3, "RUN b", 0.0),
    StepFailed(3, "RUN b", 1.5, "exit code: 1"),
    Moved("sha256:0", 1, 2),
    Moved("sha256:0", 2, 2),
    Warned("odd", "Dockerfile:1"),
    Note("image sha256:0"),
)


def test_the_events_here_are_all_there_are() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event)) == set(KINDS)


@pytest.mark.parametrize("mode", MODES)
def test_every_display_takes_every_event_and_closes_twice(mode: str) -> None:
    stream = io.StringIO()
    with display_for(mode, stream) as display:
        for event in EVENTS:
            display.emit(event)
    display.close()
    assert "\x1b]" not in stream.getvalue()
    assert bool(stream.getvalue()) == (mode not in ("quiet", "none"))


@pytest.mark.parametrize("mode", DISPLAYS)
def test_no_display_minds_a_closed_stream(mode: str) -> None:
    stream = io.StringIO()
    stream.close()
    with display_for(mode, stream) as display:
        for event in EVENTS:
            display.emit(event)


def test_automatic_is_plain_where_there_is_no_terminal() -> None:
    assert isinstance(display_for("auto", io.StringIO()), PlainDisplay)


def test_an_unknown_name_is_an_error_that_tells_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        display_for("fancy")
    assert "rawjson" in caught.value.hint


def test_raw_json_has_a_line_an_event_with_all_its_fields() -> None:
    stream = io.StringIO()
    with display_for("rawjson", stream) as display:
        for event in EVENTS:
            display.emit(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [KINDS[type(event)] for event in EVENTS]
    assert all(
        {*event._fields, "time"} <= set(line) for event, line in zip(EVENTS, lines, strict=True)
    )
    assert base64.b64decode(lines[4]["data"]) == b"\xff\x1b]0;x\x07text\n"


@pytest.mark.parametrize(
    ("value", "kept"), [("", 10), ("20", 1), ("-1", 10), ("many", 10), ("--5", 10), ("0", 0)]
)
def test_the_log_limit_may_be_set_as_for_buildkit(
    value: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDKIT_STEP_LOG_MAX_SIZE", value)
    stream = io.StringIO()
    with display_for("plain", stream) as display:
        display.emit(StepMissed(1, "RUN a", ""))
        for _ in range(10):
            display.emit(StepLog(1, b"x" * 14 + b"\n", 0.0, 1))
    assert stream.getvalue().count("x" * 14) == kept
