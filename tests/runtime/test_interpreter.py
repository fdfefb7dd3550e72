"""How processes of our own are started."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime import interpreter


def test_a_process_finds_this_package_and_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "runtime.py").write_text("raise ImportError('a namesake')")
    words = interpreter.words("interpreter.sys.exit(int(argv[0]) + int(argv[1]))", "3", "4")
    done = subprocess.run(words, env=interpreter.environment(), cwd=tmp_path, check=False)
    assert done.returncode == 7


def test_a_python_whose_library_is_found_by_the_environment_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relocated = tmp_path / "python"
    relocated.write_text(
        f'#!/bin/sh\n[ "$LD_LIBRARY_PATH" = /its/lib ] && exec {sys.executable} "$@"'
    )
    relocated.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(relocated))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/its/lib")
    words = interpreter.words("interpreter.sys.exit(len(argv))")
    done = subprocess.run(words, env=interpreter.environment(), check=False)
    assert done.returncode == 0


def test_nothing_else_of_the_environment_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.setenv("KEPT", "1")
    assert sorted(interpreter.environment("KEPT", "UNSET")) == ["KEPT", "PATH"]
