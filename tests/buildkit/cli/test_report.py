"""How errors are told, and which status they give."""

import errno
import os

import pytest

from buildkit.cli.report import describe
from buildkit.errors import (
    BuildError,
    Cancelled,
    ContextError,
    DefinitionError,
    ImageError,
    StepError,
    StoreError,
    UsageError,
)
from buildkit.exporter.destination import OutputError
from runtime.errors import SandboxError

SOLVE = "ERROR: failed to build: failed to solve: "

CASES: dict[str, tuple[BaseException, int, str]] = {
    "usage": (UsageError("m", hint="h"), 2, "ERROR: m\nhint: h\n"),
    "definition": (DefinitionError("m"), 2, f"{SOLVE}m\n"),
    "step": (StepError("m"), 1, f"{SOLVE}m\n"),
    "context": (ContextError("m"), 1, f"{SOLVE}m\n"),
    "store": (StoreError("m"), 1, "ERROR: m\n"),
    "image": (ImageError("m"), 1, "ERROR: m\n"),
    "output": (OutputError("m"), 4, "ERROR: m\n"),
    "dependency": (
        ModuleNotFoundError("No module named 'xxhash'", name="xxhash"),
        125,
        (
            "ERROR: the Python module xxhash, which pybuild needs, is not installed\n"
            "hint: install pybuild with pip, which installs what it needs too\n"
        ),
    ),
    "part of pybuild": (
        ModuleNotFoundError("No module named 'buildkit.x'", name="buildkit.x"),
        125,
        (
            "ERROR: internal fault: ModuleNotFoundError: No module named 'buildkit.x'\n"
            "hint: this is a defect of pybuild; PYBUILD_TRACEBACK=1 shows where\n"
        ),
    ),
    "signal": (Cancelled(15), 143, "ERROR: cancelled\n"),
    "interrupt": (KeyboardInterrupt(), 130, "ERROR: cancelled\n"),
    "sandbox": (SandboxError("m", hint="h"), 1, "ERROR: m\nhint: h\n"),
    "kernel": (
        OSError(errno.EROFS, "x", "/p"),
        1,
        (
            "ERROR: /p: read-only file system\n"
            "hint: the file system is read-only; give a writable place with --root DIR\n"
        ),
    ),
    "descriptor": (
        OSError(errno.EISDIR, "x", 5),
        1,
        "ERROR: is a directory\n",
    ),
    "full": (
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        1,
        (
            "ERROR: no space left on device\n"
            "hint: free some space ('pybuild prune' removes what nothing uses) and try again\n"
        ),
    ),
    "limit of open files": (
        SandboxError("cannot prepare the process: too many open files"),
        1,
        (
            "ERROR: cannot prepare the process: too many open files\n"
            "hint: raise the limit of open files (ulimit -n)\n"
        ),
    ),
    "limit of processes": (
        RuntimeError("can't start new thread"),
        1,
        (
            "ERROR: no further thread can be started\n"
            "hint: raise the limit of processes (ulimit -u)\n"
        ),
    ),
    "memory": (MemoryError(), 125, "ERROR: out of memory\n"),
}


@pytest.fixture(autouse=True)
def no_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYBUILD_TRACEBACK", raising=False)


@pytest.mark.parametrize("name", CASES)
def test_an_error_has_its_words_and_its_status(name: str) -> None:
    error, status, text = CASES[name]
    assert describe(error) == (status, text)


@pytest.mark.parametrize("name", ["usage", "store", "sandbox", "kernel"])
def test_run_keeps_its_own_faults_apart_from_those_of_the_command(name: str) -> None:
    error, _, text = CASES[name]
    assert describe(error, run=True) == (125, text)


def test_a_clock_past_all_years_is_told_and_another_overflow_is_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = OverflowError("timestamp too large to convert to C _PyTime_t")
    assert describe(error)[0] == 125

    def refuse() -> float:
        raise error

    monkeypatch.setattr("time.time", refuse)
    status, text = describe(error)
    assert status == 1
    assert text == (
        "ERROR: the clock of this machine is past the year 2262, the last that Python can tell\n"
        "hint: set the clock\n"
    )


def test_a_failed_step_shows_its_log_and_its_lines_first() -> None:
    error = StepError("m", step="[2/2] RUN x", log=("0.1 a", "0.2 b"), hint="h")
    error.excerpt = "Dockerfile:2\n...\n"
    assert describe(error)[1] == (
        f"------\n > [2/2] RUN x:\n0.1 a\n0.2 b\n------\nDockerfile:2\n...\n{SOLVE}m\nhint: h\n"
    )


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    status, text = describe(StepError("\x1b[2Jm", step="\x07", log=("\x1b]0;title\x07",)))
    assert status == 1
    assert not set(text) & {"\x1b", "\x07"}


def test_a_fault_of_ours_says_so_and_shows_a_traceback_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        status, text = describe(error)
        assert (status, text.splitlines()[0][:41]) == (
            125,
            "ERROR: internal fault: KeyError: 'x' at t",
        )
        monkeypatch.setenv("PYBUILD_TRACEBACK", "1")
        assert "Traceback" in describe(error)[1]


@pytest.mark.parametrize("error", BuildError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_the_status_of_every_error_is_one_that_is_documented(error: type[BuildError]) -> None:
    assert error.exit_code in (1, 2, 4)
