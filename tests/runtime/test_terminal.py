"""Sandboxes in the foreground: the terminal, signals, and the death of the caller."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.terminal import raw
from tests.kernel import REPOSITORY, as_user, interpreter_for, ordinary_user
from tests.runtime.conftest import Sandboxes

PROGRAM = """
import os, sys, tempfile
sys.path.insert(0, {repository!r})
from runtime import rootless
from runtime.attached import run_attached
from runtime.errors import SandboxError
from runtime.spec import Process, RootFs, SandboxSpec
rootless.enter()
process = Process(tuple(sys.argv[2:]), env=(("PATH", "/bin"),), user={user!r})
spec = SandboxSpec(root=RootFs(({root!r},)), process=process, network="none")
with tempfile.TemporaryDirectory() as place:
    try:
        tty, interactive = "t" in sys.argv[1], "i" in sys.argv[1]
        status = run_attached(spec, place, tty=tty, interactive=interactive)
    except SandboxError as error:
        sys.exit(error.message)
sys.exit(status.code)
"""


class Foreground:
    """Starts programs that run a sandbox in the foreground."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self.root = sandboxes.root
        self.user = ordinary_user() if sandboxes.kind == "rootless" else None
        python = interpreter_for(self.user)
        assert python is not None
        self.python = python

    def start(self, flags: str, *args: str, user: str = "", **how: Any) -> subprocess.Popen[bytes]:
        text = PROGRAM.format(repository=str(REPOSITORY), root=self.root, user=user)
        command = [self.python, "-B", "-c", text, flags, *args]
        return subprocess.Popen(command, **{**as_user(self.user), **how})

    def run(self, flags: str, *args: str, given: bytes = b"") -> tuple[int, bytes]:
        process = self.start(flags, *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, _errors = process.communicate(given, timeout=60)
        return process.returncode, output


@pytest.fixture
def foreground(sandboxes: Sandboxes) -> Foreground:
    return Foreground(sandboxes)


@pytest.fixture
def window() -> Iterator[tuple[int, int]]:
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    yield outer, inner
    os.close(outer)
    os.close(inner)


def read_until(fd: int, wanted: bytes) -> bytes:
    """Read from a terminal until `wanted` is there."""
    data = b""
    while wanted not in data:
        assert select.select([fd], [], [], 60)[0], data
        data += os.read(fd, 4096)
    return data


def test_output_and_exit_status_pass_through(foreground: Foreground) -> None:
    assert foreground.run("", "sh", "-c", "echo hello; exit 7") == (7, b"hello\n")


def test_input_is_passed_only_when_interactive(foreground: Foreground) -> None:
    assert foreground.run("i", "cat", given=b"text") == (0, b"text")
    assert foreground.run("", "cat", given=b"text") == (0, b"")


def test_a_terminal_inside_has_the_size_and_name(
    foreground: Foreground, window: tuple[int, int]
) -> None:
    outer, inner = window
    script = "tty; stty size; test -c /dev/console && echo console; ls /dev/pts"
    process = foreground.start("ti", "sh", "-c", script, stdin=inner, stdout=inner)
    data = read_until(outer, b"ptmx\r\n")
    assert process.wait(60) == 0
    assert data.split() == [b"/dev/pts/0", b"33", b"111", b"console", b"0", b"ptmx"]


def test_what_is_typed_reaches_the_program_and_control_c_interrupts_it(
    foreground: Foreground, window: tuple[int, int]
) -> None:
    outer, inner = window
    script = (
        "trap 'echo interrupted; exit 9' INT; read x; echo got $x; while :; do sleep 0.01; done"
    )
    process = foreground.start("ti", "sh", "-c", script, stdin=inner, stdout=inner)
    os.write(outer, b"word\r")
    read_until(outer, b"got word\r\n")
    os.write(outer, b"\x03")
    read_until(outer, b"interrupted\r\n")
    assert process.wait(60) == 9


def test_the_terminal_of_the_caller_is_as_before(
    foreground: Foreground, window: tuple[int, int]
) -> None:
    outer, inner = window
    before = termios.tcgetattr(inner)
    process = foreground.start("ti", "sh", "-c", "echo end", stdin=inner, stdout=inner)
    read_until(outer, b"end\r\n")
    assert process.wait(60) == 0
    assert termios.tcgetattr(inner) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(foreground: Foreground, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'exit 44' {name}; echo ready; while :; do sleep 0.01; done"
    process = foreground.start("", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(60) == 44
    process.stdout.close()


def test_a_program_that_does_not_handle_term_ends_by_it(foreground: Foreground) -> None:
    process = foreground.start(
        "", "sh", "-c", "echo ready; exec sleep 1000", stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    process.stdout.close()


@pytest.mark.parametrize("user", ["", "bob"])
def test_the_sandbox_dies_with_its_caller(foreground: Foreground, user: str) -> None:
    read, write = os.pipe()
    script = "trap '' TERM HUP INT; echo ready; while :; do sleep 0.01; done"
    process = foreground.start("", "sh", "-c", script, user=user, stdout=write)
    os.close(write)
    assert os.read(read, 6) == b"ready\n"
    process.kill()
    process.wait(60)
    # The pipe ends when every process that holds it is gone.
    assert os.read(read, 1) == b""
    os.close(read)


def test_a_missing_program_gives_127(foreground: Foreground) -> None:
    assert foreground.run("", "nosuch")[0] == 127


def test_the_size_of_no_terminal_is_the_usual_one() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from runtime import terminal; "
    program += "print(*terminal.size())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(REPOSITORY)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"24 80\n"


def test_a_window_that_is_closed_has_no_mode_to_go_back_to() -> None:
    outer, inner = pty.openpty()
    with raw(inner):
        assert not termios.tcgetattr(inner)[3] & termios.ICANON
        os.close(outer)
    os.close(inner)


def test_no_change_of_the_mode_waits_for_what_a_slow_line_has_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal would end the wait with an error, and leave the line in raw mode."""
    outer, inner = pty.openpty()
    when: list[int] = []
    change = termios.tcsetattr

    def noted(fd: int, moment: int, mode: list[Any]) -> None:
        when.append(moment)
        change(fd, moment, mode)

    monkeypatch.setattr(termios, "tcsetattr", noted)
    with raw(inner):
        pass
    assert when == [termios.TCSANOW] * 2
    os.close(outer)
    os.close(inner)
