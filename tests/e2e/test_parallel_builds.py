"""Many commands at once on one store."""

import json
import subprocess
from collections import Counter
from pathlib import Path

from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Pybuild

TEN = range(10)
SHARED = "RUN echo shared > /shared; head -c 300000 /dev/urandom > /noise"


def start(program: Pybuild, context: Path, *options: str) -> "subprocess.Popen[bytes]":
    return program.start("build", "--progress", "rawjson", *options, context)


def steps_run(builds: list["subprocess.Popen[bytes]"]) -> Counter[str]:
    """Wait for builds, which must succeed; return how often each step was run."""
    ran: Counter[str] = Counter()
    for build in builds:
        _output, errors = build.communicate(timeout=300)
        assert build.returncode == 0, errors.decode()
        for line in errors.splitlines():
            event = json.loads(line)
            if event["event"] == "step-done":
                ran[event["name"].partition("] ")[2]] += 1
    return ran


def test_ten_builds_give_ten_right_images(caller: Caller) -> None:
    program = caller.fresh()
    contexts = [
        caller.context(
            f"FROM busybox\n{SHARED}\nCOPY own.txt /\nRUN cat /own.txt /shared > /both\n",
            f"file own.txt text=own-{number}",
        )
        for number in TEN
    ]
    with nothing_left(program):
        ran = steps_run(
            [start(program, path, "-t", f"image{n}") for n, path in enumerate(contexts)]
        )

    assert ran == {SHARED: 1, "COPY own.txt /": 10, "RUN cat /own.txt /shared > /both": 10}
    for number in TEN:
        told = program.run(f"image{number}", "cat", "/both").ok().output
        assert told == f"own-{number}shared\n"
    assert len({program.inspect(f"image{number}")["Id"] for number in TEN}) == 10
    program("fsck").ok()


def test_one_build_ten_times_at_once_runs_each_step_once(as_root: Caller) -> None:
    program = as_root.fresh()
    context = as_root.context(
        f"FROM busybox AS one\n{SHARED}\n"
        "FROM busybox\nCOPY --from=one /noise /\nCOPY a.txt /\nRUN wc /noise > /size\n",
        "file a.txt text=a",
    )
    with nothing_left(program):
        ran = steps_run([start(program, context, "-t", f"image{number}") for number in TEN])

    assert set(ran.values()) == {1}
    assert len(ran) == 4
    assert len({program.inspect(f"image{number}")["Id"] for number in TEN}) == 1


def test_a_killed_neighbour_blocks_nobody(as_root: Caller) -> None:
    program = as_root.fresh()
    context = as_root.context(
        "FROM busybox\nRUN echo once > /file; test -e /proc/1/x || usleep 400000\n"
    )
    with nothing_left():
        first = start(program, context)
        assert first.stderr is not None
        while b"step-missed" not in first.stderr.readline():
            pass
        others = [start(program, context, "-t", "test") for _ in range(3)]
        first.kill()
        first.communicate()
        ran = steps_run(others)
    assert sum(ran.values()) <= 1
    assert program.run("test", "cat", "/file").ok().output == "once\n"


def test_what_a_build_uses_is_not_pruned_meanwhile(as_root: Caller) -> None:
    program = as_root.fresh()
    contexts = [
        as_root.context(
            f"FROM busybox\nRUN echo {number} > /number\nRUN cat /number > /again\nRUN true\n"
        )
        for number in range(4)
    ]
    builds = [start(program, path, "-t", f"image{n}") for n, path in enumerate(contexts)]
    while any(build.poll() is None for build in builds):
        program("prune", "--force", "--all").ok()
    steps_run(builds)
    program("prune", "--force", "--all").ok()
    for number in range(4):
        assert program.run(f"image{number}", "cat", "/again").ok().output == f"{number}\n"
    program("fsck").ok()
