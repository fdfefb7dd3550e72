"""`pybuild run`: `fixtures/runs/<topic>.toml`.

Each holds `images`, a Dockerfile for each name, and runs:

    what, image, options, command, stdin     {place} is a directory with some files
    status, output, errors                   0, anything, anything; `errors` is a part of them
    sorted                                   the lines of the output come in any order
    leaves                                   files in {place} afterwards
    same_as_host                             a command whose output on the host is the same
"""

import os
import pty
import signal
import subprocess
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import TOP

FOLDER = TOP / "fixtures/runs"
NO_MKDIR = (
    b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":'
    b'[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}'
)
PLACE = (
    r"file data/inside text=b'from\x20the\x20host\n'",
    r"""file a,"b"/inside text=b'in\x20a,b\n'""",
    "dir rw 0777",
    r"file env text=b'#\x20a\x20comment\n\nFILED=filed\x20words\nHOST_TAKEN\n'",
    f"file no-mkdir.json text={NO_MKDIR!r}",
    "file bad.json text=b'{}'",
)
ENOUGH = 15.0


@cache
def topics() -> Mapping[str, Any]:
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.toml")
    }


CASES = [
    pytest.param(topic, run, id=f"{topic}-{run['what']}")
    for topic, content in sorted(topics().items())
    for run in content["run"]
]
_BUILT: set[tuple[str, str]] = set()


@pytest.mark.parametrize(("topic", "run"), CASES)
def test_a_container_is_what_its_image_and_the_user_say(
    caller: Caller, topic: str, run: Mapping[str, Any]
) -> None:
    image = built(caller, topic, run["image"])
    place = caller.tree(caller.place(), *PLACE)
    words = {"{place}": str(place), "{megabyte}": "x" * (1 << 20)}
    options = [replaced(option, words) for option in run.get("options", [])]
    with nothing_left(caller.pybuild):
        done = caller.pybuild(
            *("run", "--rm", *options, image, *run.get("command", [])),
            stdin=replaced(run["stdin"], words) if "stdin" in run else None,
            environment={"HOST_TAKEN": "taken", "HOST_SECRET": "x"},
            cwd=place,
        )
    assert (done.status, run["what"]) == (run.get("status", 0), run["what"]), done.errors
    output = done.output
    if run.get("sorted"):
        output = "".join(sorted(output.splitlines(keepends=True)))
    if "output" in run:
        assert output == run["output"]
    if "same_as_host" in run:
        host = subprocess.run(["sh", "-c", run["same_as_host"]], capture_output=True, check=True)
        assert output == host.stdout.decode()
    assert run.get("errors", "") in done.errors
    assert "Traceback" not in done.errors
    for name, text in run.get("leaves", {}).items():
        assert (place / name).read_text() == text


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 7), (signal.SIGTERM, 7), (signal.SIGUSR1, 8)]
)
def test_a_signal_is_for_the_command(caller: Caller, number: signal.Signals, status: int) -> None:
    script = "trap 'exit 7' INT TERM; trap 'exit 8' USR1; echo ready; while :; do sleep 0.05; done"
    with nothing_left(caller.pybuild):
        run = started(caller, "sh", "-c", script)
        run.send_signal(number)
        run.communicate(timeout=ENOUGH)
    assert run.returncode == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_heeds_no_signal_is_ended_by_it(
    caller: Caller, number: signal.Signals
) -> None:
    with nothing_left(caller.pybuild):
        # No shell, which heeds SIGINT until it has become something else.
        run = started(caller, "yes", "ready")
        run.send_signal(number)
        run.communicate(timeout=ENOUGH)
    assert run.returncode == 128 + number


def test_a_killed_run_takes_its_container_along(caller: Caller) -> None:
    with nothing_left():
        run = started(caller, "sh", "-c", "setsid sleep 1000 & echo ready; sleep 1000")
        run.kill()
        run.communicate(timeout=ENOUGH)
    caller.pybuild.run("busybox", "true").ok()


def test_children_in_the_background_end_with_the_command(caller: Caller) -> None:
    with nothing_left(caller.pybuild):
        done = caller.pybuild.run("busybox", "sh", "-c", "setsid sleep 1000 & echo done")
    assert (done.status, done.output) == (0, "done\n")


def test_keys_go_to_the_terminal_of_the_container(caller: Caller) -> None:
    ours, theirs = pty.openpty()
    with nothing_left(caller.pybuild):
        run = caller.pybuild.start(
            *(
                "run",
                "--rm",
                "-i",
                "-t",
                "busybox",
                "sh",
                "-c",
                "stty size; read line; echo got $line",
            ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        told = b""
        while b"\n" not in told:
            told += os.read(ours, 1000)
        os.write(ours, b"typed\r")
        while b"got typed" not in told:
            told += os.read(ours, 1000)
        assert run.wait(ENOUGH) == 0
    os.close(ours)


def started(caller: Caller, *command: str) -> "subprocess.Popen[bytes]":
    """Start a container whose command says `ready`; return when it has."""
    run = caller.pybuild.start("run", "--rm", "busybox", *command)
    assert run.stdout is not None
    assert run.stdout.readline() == b"ready\n"
    return run


def built(caller: Caller, topic: str, image: str) -> str:
    """Return the name of an image of a topic, built once a caller; another name is itself."""
    name = f"{topic}-{image}"
    dockerfile = topics()[topic]["images"].get(image)
    if dockerfile is None:
        return image
    if (caller.kind, name) not in _BUILT:
        caller.pybuild.build(caller.context(dockerfile), name=name).ok()
        _BUILT.add((caller.kind, name))
    return name


def replaced(text: str, words: Mapping[str, str]) -> str:
    """Return `text` with the words that stand for something."""
    for word, value in words.items():
        text = text.replace(word, value)
    return text
