from pathlib import Path

import pytest

from buildkit.progress.events import Event, Moved, StepLog, Warned
from buildkit.progress.reporter import TAIL_LINES, StepReporter
from runtime import syscalls
from tests import kernel


def texts(reporter: StepReporter) -> list[str]:
    return [line.partition(" ")[2] for line in reporter.tail()]


def test_output_goes_to_the_display_and_in_full_to_the_file(tmp_path: Path) -> None:
    events: list[Event] = []
    path = tmp_path / "b-1.log"
    with StepReporter(events.append, 7, str(path)) as reporter:
        reporter.log(b"")
        assert not path.exists()
        reporter.log(b"one\ntw")
        reporter.log(b"o\n\xff", 2)
        reporter.moved("blob", 1, 2)
        reporter.warn("odd", "Dockerfile:1")
    assert path.read_bytes() == b"one\ntwo\n\xff"
    assert path.stat().st_mode & 0o777 == 0o600
    logs = [event for event in events if isinstance(event, StepLog)]
    assert [(log.number, log.data, log.stream) for log in logs] == [
        (7, b"one\ntw", 1),
        (7, b"o\n\xff", 2),
    ]
    assert events[2:] == [Moved("blob", 1, 2), Warned("odd", "Dockerfile:1")]
    assert reporter.logged == 9


def test_the_tail_has_the_last_lines_with_their_times_safe_to_print() -> None:
    reporter = StepReporter(lambda _: None, 1)
    for number in range(100):
        reporter.log(b"line %d\n" % number)
    reporter.log(b"10%\r100%\r\n\x1b]0;x\x07\npartial")
    assert texts(reporter)[-3:] == ["100%", "\\x1b]0;x\\x07", "partial"]
    assert len(texts(reporter)) == TAIL_LINES
    assert reporter.tail()[0].partition(" ")[0].replace(".", "").isdecimal()


def test_a_line_without_end_does_not_fill_memory() -> None:
    reporter = StepReporter(lambda _: None, 1)
    for _ in range(100):
        reporter.log(b"x" * 10_000)
    assert len(texts(reporter)[0]) < 10_000


def test_a_log_is_never_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "b-1.log").symlink_to(target)
    reporter = StepReporter(lambda _: None, 1, str(tmp_path / "b-1.log"))
    with pytest.raises(OSError, match="symbolic"):
        reporter.log(b"x")
    assert not target.exists()


def test_where_the_log_does_not_fit_the_step_is_still_heard(tmp_path: Path) -> None:
    kernel.require("tmpfs")
    syscalls.mount("tmpfs", str(tmp_path), "tmpfs", 0, "size=8k,nr_inodes=2")
    try:
        events: list[Event] = []
        with StepReporter(events.append, 1, str(tmp_path / "b-1.log")) as reporter:
            reporter.log(b"a" * 4096)
            reporter.log(b"b" * 8192 + b"\nno room")
            reporter.log(b" left\n")
        assert (tmp_path / "b-1.log").stat().st_size == reporter.logged == 8192
        with StepReporter(events.append, 2, str(tmp_path / "b-2.log")) as other:
            other.log(b"c")
        assert other.logged == 0
    finally:
        syscalls.umount(str(tmp_path), syscalls.MNT_DETACH)
    assert texts(reporter)[-1] == "no room left"
    told = [event.message for event in events if isinstance(event, Warned)]
    assert told == ["the log of this step is cut off: no space left on device"] * 2
    assert [event.data for event in events if isinstance(event, StepLog)][2:] == [b" left\n", b"c"]
