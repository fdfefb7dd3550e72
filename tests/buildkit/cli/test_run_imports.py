"""What `pybuild run` imports: half of its time, so that nothing may creep in."""

import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    *("lark", "networkx", "tqdm", "urllib3", "xxhash", "grammar"),
    *("asyncio", "dataclasses", "inspect", "logging", "pathlib", "shutil", "socket"),
    *("subprocess", "tempfile", "traceback"),
    # Each has a plain module below it, or is not needed: 1 to 3 ms.
    *("base64", "datetime", "gettext.py", "hashlib", "_hashlib", "locale", "signal"),
    *("array", "json", "sqlite3", "termios", "threading", "typing"),
}
MOST = 195 if os.getuid() == 0 else 203
"""Modules in all, of which Python itself starts with about 30; an ordinary user's containers share
a network, which takes a few more."""

PROGRAM = """
import sys
from buildkit.cli import main
main._speak_english()
status = main.main(["--root", sys.argv[1], "run", "--rm", "--pull", "never", "none", "true"])
loaded = {name for name, module in sys.modules.items() if module is not None}
if hasattr(sys.modules["gettext"], "__file__"):
    loaded.add("gettext.py")
print(status, len(loaded), *sorted(loaded))
"""


def test_run_imports_nothing_heavy_and_little_in_all(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", PROGRAM, str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, number, *loaded = done.stdout.split()
    assert status == "125"
    assert "none" in done.stderr
    assert "buildkit.images" in loaded
    assert set(loaded) & HEAVY == set()
    assert int(number) <= MOST
