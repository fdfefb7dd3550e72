import io

import pytest

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
from buildkit.progress.plain import QUIET, TURN, PlainDisplay, PlainText


def started(number: int, name: str = "RUN make") -> list[Event]:
    name = f"[build {number}/9] {name}"
    return [StepStarted(number, name, 0.0), StepMissed(number, name, "command changed")]


def log(number: int, text: str, seconds: float = 0.412) -> StepLog:
    return StepLog(number, text.encode(), seconds, 1)


def done(number: int, note: str = "") -> StepDone:
    return StepDone(number, "", 9.87, note)


def shown(*events: Event, text: PlainText | None = None) -> str:
    text = text or PlainText()
    return "".join(text.feed(event, 0.0) for event in events) + text.finish()


def test_one_step_after_the_other_as_buildkit_shows_them() -> None:
    cached: list[Event] = [
        StepStarted(6, "[build 6/9] COPY . .", 0.0),
        StepCached(6, "[build 6/9] COPY . ."),
    ]
    assert shown(*started(5), log(5, "cc -c a.c\ncc"), log(5, " -c b.c\n"), done(5), *cached) == (
        "#5 [build 5/9] RUN make\n"
        "#5 why: command changed\n"
        "#5 0.412 cc -c a.c\n"
        "#5 0.412 cc -c b.c\n"
        "#5 DONE 9.9s\n"
        "\n"
        "#6 [build 6/9] COPY . .\n"
        "#6 CACHED\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (done(1, "same content as before"), "#1 DONE 9.9s (same content as before)"),
        (StepFailed(1, "", 1.0, "exit code: 1"), "#1 ERROR: exit code: 1"),
        (StepFailed(1, "", 1.0, "cancelled", cancelled=True), "#1 CANCELED"),
    ],
)
def test_how_a_step_ends(event: Event, line: str) -> None:
    assert shown(*started(1), event).splitlines()[-2:] == [line, ""]


def test_a_line_without_an_end_is_shown_when_the_step_ends() -> None:
    assert "#1 half\n#1 DONE" in shown(*started(1), log(1, "half"), done(1)).replace("0.412 ", "")


def test_steps_at_once_take_turns() -> None:
    text = PlainText()
    out = "".join(text.feed(event, 0.0) for event in (*started(1), log(1, "one\n")))
    assert "".join(text.feed(event, 0.1) for event in (*started(2), log(2, "two\n"))) == ""
    assert text.waiting()
    assert text.turn(0.2) == ""
    out = text.turn(0.1 + QUIET)
    assert out.startswith(
        "#1 ...\n\n#2 [build 2/9] RUN make\n#2 why: command changed\n#2 0.412 two"
    )
    assert not text.waiting()


def test_a_step_that_prints_without_pause_keeps_the_screen_for_its_turn_only() -> None:
    text = PlainText()
    for event in (*started(1), *started(2), log(2, "two\n")):
        text.feed(event, 0.0)
    now = 0.0
    while now < TURN - 0.5:
        now += 0.5
        assert "#2" not in text.feed(log(1, "one\n"), now) + text.turn(now)
    assert "#2 0.412 two\n" in text.turn(TURN)


def test_what_waited_is_shown_when_the_step_before_ends() -> None:
    text = PlainText()
    for event in (*started(1), *started(2), log(2, "two\n"), done(2), *started(3)):
        text.feed(event, 0.0)
    out = text.feed(done(1), 0.1)
    assert out == (
        "#1 DONE 9.9s\n\n"
        "#2 [build 2/9] RUN make\n#2 why: command changed\n#2 0.412 two\n#2 DONE 9.9s\n\n"
        "#3 [build 3/9] RUN make\n#3 why: command changed\n"
    )


def test_at_the_end_nothing_is_held_back() -> None:
    out = shown(*started(1), log(1, "one\n"), *started(2), log(2, "two\n"))
    assert "#1 0.412 one\n" in out
    assert "#2 0.412 two\n" in out


def test_output_past_the_limit_is_cut_off_with_a_message_once() -> None:
    text = PlainText(log_limit=2048)
    lines = [log(1, "x" * 99 + "\n") for _ in range(50)]
    out = shown(*started(1), *lines, done(1), text=text)
    assert out.count("x" * 99) == 20
    assert out.count("[output clipped, log limit 2KiB reached]\n") == 1
    assert "#1 DONE" in out


def test_a_negative_limit_cuts_nothing_off() -> None:
    text = PlainText(log_limit=-1)
    assert shown(*started(1), log(1, "x\n" * 5000), done(1), text=text).count(" x\n") == 5000


def test_a_line_without_end_does_not_fill_memory() -> None:
    text = PlainText(log_limit=-1)
    for event in started(1):
        text.feed(event, 0.0)
    assert sum(len(text.feed(log(1, "x" * 10_000), 0.0)) for _ in range(100)) > 900_000


def test_control_characters_of_names_and_messages_are_made_visible() -> None:
    evil = "\x1b]0;x\x07\n"
    events = (
        StepStarted(1, evil, 0.0),
        StepMissed(1, evil, evil),
        StepFailed(1, evil, 1.0, evil),
        Warned(evil, evil),
        Note(evil),
        Moved(evil, 5, 5),
    )
    assert all(line.isprintable() for line in shown(*events).split("\n"))


def test_warnings_notes_and_transfers_are_lines_of_their_own() -> None:
    text = PlainText()
    assert text.feed(Warned("odd", "Dockerfile:3"), 0.0) == "WARNING: Dockerfile:3: odd\n"
    assert text.feed(Warned("odd"), 0.0) == "WARNING: odd\n"
    assert text.feed(Note("image sha256:0"), 0.0) == "image sha256:0\n"
    assert text.feed(Moved("blob", 1, 3 << 20), 0.0) == ""
    assert text.feed(Moved("blob", 3 << 19, 3 << 20), 6.0) == "blob 1.57MB / 3.15MB\n"
    assert text.feed(Moved("blob", 3 << 20, 3 << 20), 6.1) == "blob 3.15MB done\n"


def test_a_stream_that_nobody_reads_mutes_the_display() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with PlainDisplay(Gone()) as display:
        for event in (*started(1), done(1)):
            display.emit(event)


def test_a_display_shows_what_waited_when_it_is_closed() -> None:
    stream = io.StringIO()
    with PlainDisplay(stream) as display:
        for event in (*started(1), log(1, "one\n"), *started(2), log(2, "two\n")):
            display.emit(event)
    assert "#2 0.412 two\n" in stream.getvalue()
    display.close()
