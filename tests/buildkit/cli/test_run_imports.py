"""What `pybuild run` and a cached build import: half of their time, so nothing may creep in."""

import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    *("lark", "networkx", "tqdm", "urllib3", "xxhash", "grammar"),
    *("asyncio", "dataclasses", "inspect", "logging", "pathlib", "shutil", "socket"),
    *("subprocess", "tempfile", "traceback"),
    # Each has a plain module below it, or is not needed: 1 to 3 ms.
    *("argparse", "array", "base64", "datetime", "enum", "gettext", "hashlib", "_hashlib", "json"),
    *("locale", "re", "signal", "sqlite3", "termios", "threading", "typing"),
}
MOST = 175 if os.getuid() == 0 else 180
"""Modules in all, of which Python itself starts with about 30; an ordinary user's containers share
a network, which takes a few more."""

RUN = ["run", "--rm", "-ie", "A=B", "--pull=never", "none", "true", "--help"]
PROGRAM = """
import sys
from buildkit.cli import main
# Looks for names like one that there is not, which only a mistake needs, and brings `re`.
difflib = sys.modules["difflib"] = type(sys)("difflib")
difflib.get_close_matches = lambda *words, **options: []
status = main.main(["--root", *sys.argv[1:]])
loaded = {name for name, module in sys.modules.items() if module is not None}
print(status, len(loaded), *sorted(loaded))
"""


def test_run_imports_nothing_heavy_and_little_in_all(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", PROGRAM, str(tmp_path / "root"), *RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, number, *loaded = done.stdout.split()
    assert status == "125"
    assert "none" in done.stderr
    assert "buildkit.images" in loaded
    assert set(loaded) & HEAVY == set()
    assert int(number) <= MOST


def test_a_cached_build_whose_arguments_are_plain_needs_no_argparse(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    words = [str(tmp_path / "root"), "build", "--no-cache=false", "-qt", "app", str(context)]
    for _ in range(2):
        command = [sys.executable, "-c", PROGRAM, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, status, _, *loaded = done.stdout.split()
    assert status == "0"
    assert set(loaded) & {"argparse", "gettext", "hashlib", "locale", "typing"} == set()


def test_archives_of_images_need_no_registry(tmp_path: Path) -> None:
    root, archive = str(tmp_path / "root"), str(tmp_path / "image.tar")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    for words in (
        ["build", "-qt", "app", str(tmp_path)],
        ["save", "-qo", archive, "app"],
        ["load", "-qi", archive],
    ):
        command = [sys.executable, "-c", PROGRAM, root, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        status, _, *loaded = done.stdout.splitlines()[-1].split()
        assert status == "0"
        assert set(loaded) & {"urllib3", "ssl", "lark"} == set()
