"""Steps and containers that want too much: they end bounded, named, and without a trace."""

import signal
import subprocess
from collections.abc import Callable

import pytest

from tests import kernel
from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Done

BOMB = "bomb() { bomb | bomb & }; bomb; sleep 0.5; i=0; while :; do true & i=$((i+1)); done"
HOG = "dd if=/dev/zero of=/dev/null bs=900M count=1"
FILLER = "dd if=/dev/zero of=/x bs=1M count=100"


def stepped(caller: Caller, script: str, *options: str) -> Done:
    context = caller.context(f"FROM busybox\nRUN {script}\n")
    return caller.pybuild("build", "--progress", "plain", "--no-cache", *options, context)


def ran(caller: Caller, script: str, *options: str) -> Done:
    return caller.pybuild(
        *("run", "--rm", "--network", "none", *options, "busybox", "sh", "-c", script)
    )


@pytest.mark.parametrize("by", [stepped, ran])
@pytest.mark.parametrize(
    ("script", "options", "named"),
    [
        (BOMB, ("--pids-limit", "40"), "the limit of 40 processes was reached"),
        (HOG, ("--memory", "50m"), "out of memory: the limit is 50 MiB, the peak was 50 MiB"),
        (FILLER, ("--ulimit", "fsize=1000000"), "File too large"),
        (FILLER.replace("/x", "/dev/shm/x"), (), "No space left on device"),
    ],
)
def test_what_wants_too_much_is_bounded_and_named(
    as_root: Caller,
    by: Callable[..., Done],
    script: str,
    options: tuple[str, ...],
    named: str,
) -> None:
    kernel.require("cgroups")
    with nothing_left(as_root.pybuild):
        done = by(as_root, script, *options)
    assert done.status not in (0, 125)
    assert named in done.output + done.errors


def test_a_step_that_heeds_no_signal_ends_with_the_build(caller: Caller) -> None:
    script = "trap '' TERM INT HUP; echo deaf; while :; do sleep 0.05; done"
    context = caller.context(f"FROM busybox\nRUN {script}\n")
    with nothing_left(caller.pybuild):
        build = caller.pybuild.start(
            *("build", "--progress", "plain", "--no-cache", context), stderr=subprocess.STDOUT
        )
        assert build.stdout is not None
        while b" deaf\n" not in build.stdout.readline():
            pass
        build.send_signal(signal.SIGTERM)
        build.communicate(timeout=20)
    assert build.returncode == 143


def test_a_daemon_ends_with_its_step(caller: Caller) -> None:
    with nothing_left(caller.pybuild):
        stepped(caller, "(setsid sleep 987 </dev/null >/dev/null 2>&1 &); echo done").ok()
