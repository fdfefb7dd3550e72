"""The terminal display, seen through a pseudo-terminal."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from buildkit.progress.board import LOG_LINES, Board, Going
from buildkit.progress.events import Moved, StepCached, StepDone, StepLog, StepMissed, StepStarted
from buildkit.progress.live import LiveDisplay


class Terminal:
    """A pseudo-terminal; `read` gives what came once the other side is closed."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._data = bytearray()
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()

    def read(self) -> str:
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        return self._data.decode()

    def _drain(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._data += data
        except OSError:  # EIO: the other side is closed
            return


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    yield Terminal()


def test_cached_steps_are_lines_and_start_no_thread(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LiveDisplay(terminal.stream) as display:
        monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread"))
        display.emit(StepStarted(1, "FROM a", 0.0))
        display.emit(StepCached(1, "FROM a"))
    monkeypatch.undo()
    assert terminal.read() == "=> CACHED FROM a\r\n"


def test_what_runs_is_drawn_with_its_output_and_taken_off_again(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildkit.progress.live.DELAY", 0.0)
    drawn = threading.Event()
    show = Board.live

    def live(board: Board, now: float, height: int) -> list[str | Going | Moved]:
        rows = show(board, now, height)
        if any("compiling" in row for row in rows if isinstance(row, str)):
            drawn.set()
        return rows

    monkeypatch.setattr(Board, "live", live)
    with LiveDisplay(terminal.stream) as display:
        display.emit(StepStarted(1, "RUN make", 0.0))
        display.emit(StepMissed(1, "RUN make", "command changed"))
        display.emit(Moved("sha256:0", 1, 4))
        display.emit(StepLog(1, b"\x1b]0;x\x07compiling\n", 0.5, 1))
        assert drawn.wait(60)
        display.emit(StepDone(1, "RUN make", 1.5))
    text = terminal.read()
    assert text.startswith("=> RUN make: command changed\r\n")
    assert "   compiling" in text
    assert "sha256:0" in text
    assert text.index("=> RUN make 1.5s\r\n") > text.index("compiling")
    assert "\x1b]" not in text


def test_live_lines_fit_the_screen() -> None:
    board = Board()
    for number in range(1, 4):
        board.feed(StepMissed(number, f"RUN {number}", ""), 0.0)
        board.feed(StepLog(number, b"".join(b"%d\n" % line for line in range(20)), 0.0, 1), 0.0)
    board.feed(Moved("blob", 1, 2), 0.0)
    assert len(board.live(1.0, 100)) == 3 * (1 + LOG_LINES) + 1
    assert board.live(1.0, 7) == [
        *(Going("=> RUN 1", " 1.0s"), "   19"),
        *(Going("=> RUN 2", " 1.0s"), "   19"),
        *(Going("=> RUN 3", " 1.0s"), "   19"),
        Moved("blob", 1, 2),
    ]
    assert len(board.live(1.0, 2)) == 2
    board.feed(Moved("blob", 2, 2), 0.0)
    for number in range(1, 4):
        board.feed(StepDone(number, "", 1.0), 0.0)
    assert not board.busy()


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    master, slave = os.openpty()
    stream = os.fdopen(slave, "w")
    with LiveDisplay(stream) as display:
        os.close(master)
        display.emit(StepMissed(1, "RUN make", ""))
        display.emit(StepDone(1, "RUN make", 1.0))
    with contextlib.suppress(OSError):  # what could not be written is tried again
        stream.close()


def test_neither_plain_nor_a_cached_build_on_a_terminal_imports_tqdm() -> None:
    program = (
        "import sys, io\n"
        "from buildkit.progress.table import display_for\n"
        "from buildkit.progress.events import StepCached\n"
        "for mode in ('plain', 'tty'):\n"
        "    with display_for(mode, io.StringIO()) as display:\n"
        "        display.emit(StepCached(1, 'FROM a'))\n"
        "heavy = {'tqdm', 'logging', 'asyncio', 'dataclasses', 'inspect', 'subprocess'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
