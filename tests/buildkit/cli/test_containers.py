"""What the commands about containers share."""

import subprocess
import sys
from pathlib import Path

from buildkit.cli.containers import is_running
from buildkit.containers.record import Record
from buildkit.containers.store import Container

PROGRAM = """
import os
from buildkit.cli.containers import in_processes

def act(name):
    if name == "killed":
        os.kill(os.getpid(), 9)
    if name == "failed":
        raise OSError(13, "Permission denied", "/x")

print(in_processes(["one", "killed", "failed", "two"], act), in_processes(["three"], act))
"""


def test_one_whose_process_was_killed_went_wrong() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["one", "two", "three", "1", "0"]
    assert done.stderr.startswith("ERROR: /x: permission denied\n")


def test_a_container_that_is_gone_does_not_run(tmp_path: Path) -> None:
    record = Record("0" * 64, "gone", "", "", "", (), ())
    assert not is_running(Container(str(tmp_path / "gone"), record))
