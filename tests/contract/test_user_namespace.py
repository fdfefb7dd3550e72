"""The same suites inside a user namespace, where overlayfs keeps its marks in other attributes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel import REPOSITORY, needs_overlay, needs_root

# The ids are mapped to themselves, so the interpreter stays readable; what counts is that the
# namespace is not the machine's: no `trusted.` attributes, no devices.
INSIDE = """
import os, sys
sys.path.insert(0, os.getcwd())
from runtime import rootless, syscalls
ready, done = os.pipe(), os.pipe()
parent = os.getpid()
if os.fork() == 0:
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{parent}/{name}", "w") as file:
            file.write("0 0 65536")
    os.write(done[1], b"x")
    os._exit(0)
syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
os.write(ready[1], b"x")
os.read(done[0], 1)
os.wait()
rootless.make_private()
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


SAME = (
    "tests/contract/test_shared_cache.py",
    "tests/buildkit/snapshot/test_blocks.py",
    "tests/buildkit/snapshot/test_compression.py",
    "tests/buildkit/snapshot/test_tarreader.py",
)
"""Bytes in, bytes out: nothing there asks the kernel for what a namespace changes."""


@needs_root
@needs_overlay
@pytest.mark.skipif("PYBUILD_INSIDE" in os.environ, reason="this is inside")
def test_the_suites_pass_in_a_user_namespace(tmp_path: Path) -> None:
    assert all((REPOSITORY / path).exists() for path in SAME)
    tests = ["tests/contract", "tests/buildkit/snapshot", *(f"--ignore={path}" for path in SAME)]
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inside'}"]
    done = subprocess.run(
        [sys.executable, "-c", INSIDE, *options, *tests],
        cwd=REPOSITORY,
        env={**os.environ, "PYBUILD_INSIDE": "1", "PYBUILD_MUST_HAVE": "root,overlay"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
