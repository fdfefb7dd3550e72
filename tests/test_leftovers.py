"""What tests/leftovers.py finds."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.leftovers import nothing_left
from tests.program import Pybuild


def test_a_process_that_goes_on_is_found_also_when_its_parent_has_ended() -> None:
    started = 0
    with pytest.raises(AssertionError, match=r"sleep 1000"), nothing_left(patience=0.2):
        shell = ["sh", "-c", "setsid sleep 1000 > /dev/null 2>&1 & echo $!"]
        started = int(subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout)
    os.kill(started, 9)
    with nothing_left():
        pass


def test_a_process_that_ends_in_time_is_none() -> None:
    with nothing_left():
        subprocess.run(["sh", "-c", "sleep 0.2 > /dev/null 2>&1 &"], check=True)


def test_a_half_made_file_is_found(tmp_path: Path) -> None:
    program = Pybuild(tmp_path, tmp_path)
    (tmp_path / "tmp").mkdir()
    with pytest.raises(AssertionError, match=r"/tmp/x"), nothing_left(program, patience=0.1):
        (tmp_path / "tmp/x").touch()
