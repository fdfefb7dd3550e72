"""Builds of several processes on one store, with the real cache and records."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.records.store import RecordStore
from buildkit.state.root import StateRoot

STEPS = 6

BUILD = """
import os, sys, time
from buildkit.cache.local import LocalCacheStore
from buildkit.progress.cancel import Cancel
from buildkit.records.record import BuildRecord, new_build_id
from buildkit.records.store import RecordStore
from buildkit.solver.causes import Past
from buildkit.solver.solve import solve
from buildkit.state.root import StateRoot
from tests.buildkit.solver.fakes import FakeOps, chain
from tests.buildkit.solver.test_processes import STEPS

top, journal, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
graph, target = chain(STEPS)
ops = FakeOps()

def script(name):
    def run(reporter, cancel):
        fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, f"{name}\\n".encode())
        os.close(fd)
        print(name, flush=True)
        cancel.wait(pause)
    return run

ops.scripts = {f"command {number}": script(f"command {number}") for number in range(STEPS)}
with StateRoot.open(top) as root:
    records = RecordStore(root)
    result = solve(
        graph, target, ops, LocalCacheStore(root), lambda event: None, jobs=2, cancel=Cancel(),
        past=Past(lambda: records.last("app")),
    )
    if result.error is not None:
        raise result.error
    now = time.time()
    records.save(
        BuildRecord(
            id=new_build_id(), identity="app", dockerfile="", context="", target="", platform="",
            started=now, ended=now, outcome="done", steps=result.steps,
        )
    )
    print(result.refs[target].chain)
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as opened:
        opened.database()
        yield opened


def build(root: StateRoot, journal: Path, pause: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BUILD, root.top, str(journal), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result_of(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.splitlines()[-1]


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    """Wait until `process` has printed `line`."""
    assert process.stdout is not None
    while process.stdout.readline().strip() != line:
        assert process.poll() is None


def test_equal_builds_at_once_run_each_step_once_between_them(
    root: StateRoot, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    results = {result_of(one) for one in [build(root, journal, 0.05) for _ in range(3)]}
    assert len(results) == 1
    assert sorted(journal.read_text().splitlines()) == [f"command {n}" for n in range(STEPS)]
    builds = RecordStore(root).last("app")
    assert len(builds) == 3
    outcomes = [step.outcome for one in builds for step in one.steps]
    assert outcomes.count("run") == STEPS


def test_after_a_kill_the_next_build_goes_on_where_the_killed_one_was(
    root: StateRoot, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    killed = build(root, journal, 0.2)
    wait_for(killed, "command 2")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done = journal.read_text().splitlines()
    journal.unlink()
    chain = result_of(build(root, journal, 0.0))
    assert journal.read_text().splitlines()[0] == done[-1]
    with StateRoot.open(str(tmp_path / "other")) as other:
        assert result_of(build(other, tmp_path / "elsewhere", 0.0)) == chain


def test_a_killed_build_holds_up_no_other(root: StateRoot, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    killed = build(root, journal, 600.0)
    wait_for(killed, "command 0")
    waiting = build(root, journal, 0.0)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    result_of(waiting)
    assert journal.read_text().splitlines().count("command 0") == 2


def test_a_cached_build_imports_nothing_that_only_running_needs(
    root: StateRoot, tmp_path: Path
) -> None:
    result_of(build(root, tmp_path / "journal", 0.0))
    heavy = {
        *("concurrent.futures", "queue", "logging", "asyncio", "dataclasses", "inspect"),
        *("subprocess", "tqdm", "tempfile", "shutil", "buildkit.solver.workers"),
    }
    program = f"{BUILD}\nprint(*sorted({heavy!r} & set(sys.modules)))"
    program = program.replace(
        "from tests.buildkit.solver.test_processes import STEPS", f"STEPS = {STEPS}"
    )
    command = [sys.executable, "-c", program, root.top, str(tmp_path / "journal"), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [""]
