"""Builds and runs that are ended from outside: what becomes of them, and that nothing is left."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.leftovers import nothing_left, stores_clean

BODIES = {
    "that sleeps": "sleep 1000",
    "that ignores signals": "trap '' INT TERM HUP; sleep 1000; sleep 1000",
    "with children in the background": "sleep 1000 & (setsid sleep 1000 &) ; wait",
    "that has closed its output": "exec >&- 2>&-; sleep 1000",
    "that writes all the time": "yes",
}
STARTED = b"under way"
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
ENOUGH = 15.0
"""Seconds within which a command has to end, also on a busy machine."""


@pytest.mark.parametrize("body", BODIES)
def test_a_signal_ends_a_build(caller: Caller, body: str) -> None:
    check_signal(caller, BODIES[body], signal.SIGINT)


@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_the_status_tells_the_signal(caller: Caller, number: signal.Signals) -> None:
    check_signal(caller, "sleep 1000", number)


def check_signal(caller: Caller, body: str, number: signal.Signals) -> None:
    context = caller.context(f"FROM busybox\nRUN echo {STARTED.decode()}; {body}\n")
    with nothing_left(caller.pybuild):
        status, told = ended(caller, ["build", context], lambda build: build.send_signal(number))
    assert status == STATUS[number]
    assert told.endswith("ERROR: cancelled\n")
    assert "Traceback" not in told


def test_a_second_signal_changes_nothing(caller: Caller) -> None:
    context = caller.context(
        f"FROM busybox\nRUN echo {STARTED.decode()}; trap '' INT; sleep 1000\n"
    )

    def insist(build: "subprocess.Popen[bytes]") -> None:
        for _ in range(5):
            build.send_signal(signal.SIGINT)
            time.sleep(0.01)

    with nothing_left(caller.pybuild):
        status, told = ended(caller, ["build", context], insist)
    assert status == 130
    assert told.endswith("ERROR: cancelled\n")


def test_an_interrupt_from_a_terminal_reaches_all_and_ends_the_build(caller: Caller) -> None:
    context = caller.context(f"FROM busybox\nRUN echo {STARTED.decode()}; sleep 1000\n")

    def interrupt(build: "subprocess.Popen[bytes]") -> None:
        os.killpg(build.pid, signal.SIGINT)

    with nothing_left(caller.pybuild):
        status, told = ended(caller, ["build", context], interrupt, start_new_session=True)
    assert status == 130
    assert told.endswith("ERROR: cancelled\n")


def test_a_killed_build_takes_its_steps_along(caller: Caller) -> None:
    context = caller.context(f"FROM busybox\nRUN echo {STARTED.decode()}; setsid sleep 1000\n")
    with nothing_left():
        status, _told = ended(caller, ["build", context], lambda build: build.kill())
    assert status == -signal.SIGKILL
    assert not stores_clean(caller.pybuild)
    caller.pybuild.build(caller.context("FROM busybox\nRUN true\n")).ok()
    assert stores_clean(caller.pybuild)


def test_a_cancelled_build_does_not_spoil_the_next(caller: Caller) -> None:
    context = caller.context(
        f"FROM busybox\nRUN echo {STARTED.decode()} | tee /half; test -e /go || sleep 1000\n"
    )
    ended(caller, ["build", context], lambda build: build.terminate())
    again = caller.context("FROM busybox\nRUN echo whole > /whole\nRUN test ! -e /half\n")
    caller.pybuild.build(again).ok()


def test_who_waits_for_an_equal_step_can_be_interrupted(as_root: Caller) -> None:
    context = as_root.context(f"FROM busybox\nRUN echo {STARTED.decode()} once; sleep 1000\n")
    with nothing_left(as_root.pybuild):
        first = as_root.pybuild.start("build", "--progress", "plain", context)
        until_started(first)
        second = as_root.pybuild.start("build", "--progress", "rawjson", context)
        until(second, b"step-started")
        second.send_signal(signal.SIGINT)
        assert finished(second)[0] == 130
        first.send_signal(signal.SIGINT)
        assert finished(first)[0] == 130


def test_a_closed_output_ends_quietly(as_root: Caller) -> None:
    for words in (["images"], ["inspect", "busybox"], ["--help"], ["run", "busybox", "ls"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = as_root.pybuild.start(*words, stdout=writing)
        os.close(writing)
        _output, errors = done.communicate(timeout=ENOUGH)
        assert b"Traceback" not in errors
        assert b"BrokenPipe" not in errors


def ended(
    caller: Caller,
    words: list[str | Path],
    end: Callable[["subprocess.Popen[bytes]"], None],
    **options: object,
) -> tuple[int, str]:
    """Start a build, end it while its step is under way; return its status and what it told."""
    build = caller.pybuild.start(*words, "--progress", "plain", **options)
    until_started(build)
    end(build)
    return finished(build)


def until_started(build: "subprocess.Popen[bytes]") -> None:
    """Wait until the step of `build` says so."""
    until(build, b" " + STARTED)


def until(build: "subprocess.Popen[bytes]", text: bytes) -> None:
    """Read what `build` tells until a line holds `text`, which is no part of a step's name."""
    assert build.stderr is not None
    for line in build.stderr:
        if text in line and b"RUN" not in line.partition(text)[0]:
            return
    raise AssertionError(f"ended with {build.wait()} before {text!r}")


def finished(build: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Wait for the end of `build`; return its status and the rest of what it told."""
    _output, errors = build.communicate(timeout=ENOUGH)
    return build.returncode, errors.decode()
