"""The code of a command in one file: the same program, in every state that the files can be in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kernel import needs
from tests.program import TOP

START = """
import sys
sys.path.insert(0, {packages!r})
from buildkit.cli.entry import entry
entry()
"""
TELL = """
import sys
from buildkit.cli import bundle
def tell(self):
    loaded = sys.modules["buildkit.cli.main"].__spec__.loader
    sys.stderr.write(type(loaded).__name__ + "\\n")
bundle.Bundle.keep = tell
"""
"""Put before a start, says instead of writing a bundle whether the last one was made use of."""


class Copy:
    """A copy of the packages, whose `__pycache__` may hold anything."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for package in ("buildkit", "grammar", "runtime"):
            skipped = shutil.ignore_patterns("*.bundle.*")
            shutil.copytree(TOP / package, top / package, ignore=skipped)

    def run(self, *arguments: str, before: str = "", **environment: str) -> tuple[int, str, str]:
        """Start the program as the installed script does; return status, output, errors."""
        start = START.format(packages=str(self.top))
        first, _, rest = start.partition("from")
        program = f"{first}\n{before}\nfrom{rest}"
        done = subprocess.run(
            [sys.executable, "-P", "-c", program, *arguments],
            capture_output=True,
            text=True,
            env={"PATH": os.defpath, "HOME": "/nowhere", **environment},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def loader(self, *arguments: str) -> str:
        """Return the name of the class that loads modules for a call with these arguments."""
        status, _, errors = self.run(*arguments, before=TELL)
        assert status == 0
        return errors.strip()

    def bundles(self) -> list[Path]:
        """Return the bundles that are there, and what is left of any."""
        return sorted((self.top / "buildkit/cli/__pycache__").glob("*.bundle.*"))


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    yield Copy(tmp_path / "packages")


def test_a_second_call_takes_its_modules_from_what_the_first_has_written(copy: Copy) -> None:
    assert copy.loader("--version") == "SourceFileLoader"
    first = copy.run("parse", "--help")
    assert [path.name.partition(".")[0] for path in copy.bundles()] == ["parse"]
    assert copy.loader("parse", "--help") == "_Loader"
    assert copy.run("parse", "--help") == first
    assert first[0] == 0


def test_an_edit_is_seen_though_the_size_is_the_same(copy: Copy) -> None:
    copy.run("--version")
    copy.run("--version")
    source = copy.top / "buildkit/cli/main.py"
    before = source.stat()
    source.write_text(source.read_text().replace('VERSION = "0.', 'VERSION = "9.'))
    assert source.stat().st_size == before.st_size
    assert copy.run("--version")[1].startswith("pybuild 9.")
    assert copy.loader("--version") == "_Loader"
    assert copy.run("--version")[1].startswith("pybuild 9.")


def test_a_module_that_has_gone_is_missed(copy: Copy) -> None:
    copy.run("parse", "--help")
    (copy.top / "buildkit/cli/parse.py").unlink()
    shutil.rmtree(copy.top / "buildkit/__pycache__", ignore_errors=True)
    status, _, errors = copy.run("parse", "--help")
    assert (status, "buildkit.cli.parse" in errors) == (125, True)


def test_a_copied_tree_does_not_run_the_code_of_the_first(copy: Copy, tmp_path: Path) -> None:
    copy.run("--version")
    shutil.copytree(copy.top, tmp_path / "second", copy_function=shutil.copy2)
    second = Copy.__new__(Copy)
    second.top = tmp_path / "second"
    source = second.top / "buildkit/cli/main.py"
    source.write_text(source.read_text().replace('VERSION = "0.', 'VERSION = "9.'))
    assert second.run("--version")[1].startswith("pybuild 9.")
    assert copy.run("--version")[1].startswith("pybuild 0.")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:200],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"\xff" * len(data),
        lambda data: bytes(len(data)),
        lambda data: b"\x04\0\0\0\0\0\0\0" + data[8:],
    ],
)
def test_what_is_no_bundle_is_passed_over_and_written_anew(copy: Copy, damage: object) -> None:
    copy.run("--version")
    (bundle,) = copy.bundles()
    data = bundle.read_bytes()
    assert callable(damage)
    bundle.write_bytes(damage(data))
    assert copy.run("--version")[:2] == (0, "pybuild 0.1.0\n")
    assert copy.loader("--version") == "_Loader"
    assert copy.bundles() == [bundle]


@needs("root")
def test_where_nothing_can_be_written_nothing_is_said(copy: Copy) -> None:
    copy.run("--version")
    cache = copy.top / "buildkit/cli/__pycache__"
    for bundle in copy.bundles():
        bundle.unlink()
    cache.rename(copy.top / "elsewhere")
    cache.write_text("no directory")  # who is root may write everywhere else
    assert copy.run("--version") == (0, "pybuild 0.1.0\n", "")


def test_python_is_told_to_write_no_code_and_none_is_written(copy: Copy) -> None:
    copy.run("--version", PYTHONDONTWRITEBYTECODE="1")
    assert copy.bundles() == []


def test_a_call_that_fails_writes_none(copy: Copy) -> None:
    assert copy.run("parse", "--nonsense")[0] == 2
    assert copy.bundles() == []


def test_many_first_calls_at_once_leave_one_whole_bundle(copy: Copy) -> None:
    with ThreadPoolExecutor(6) as pool:
        calls = list(pool.map(lambda _: copy.run("--version"), range(6)))
    assert set(calls) == {(0, "pybuild 0.1.0\n", "")}
    (bundle,) = copy.bundles()
    assert bundle.name.startswith("build.bundle.")
    assert copy.loader("--version") == "_Loader"


def test_no_descriptor_of_it_takes_the_place_of_a_closed_input(copy: Copy) -> None:
    copy.run("parse", "--help")
    closing = "import os\nos.close(0)\nsys.stdin = None"
    status, _, errors = copy.run("parse", "-", before=closing)
    assert (status, "no instructions" in errors or "empty" in errors) == (1, True), errors


def test_none_takes_the_place_of_closed_streams(copy: Copy) -> None:
    for _ in range(2):
        closing = "import os\nos.closerange(0, 3)\nsys.stdin = sys.stdout = sys.stderr = None"
        assert copy.run("--version", before=closing) == (0, "", "")
    assert copy.loader("--version") == "_Loader"


@pytest.mark.parametrize(
    ("early", "status", "output"),
    [(True, 130, ""), (False, 0, "pybuild 0.1.0\n")],
)
def test_an_interrupt_before_and_after_the_command_is_quiet(
    copy: Copy, *, early: bool, status: int, output: str
) -> None:
    raising = "def stop(*_): raise KeyboardInterrupt\n"
    place = "bundle.installed = stop" if early else "bundle.Bundle.keep = stop"
    before = f"{raising}from buildkit.cli import bundle\n{place}"
    assert copy.run("--version", before=before) == (status, output, "")


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("buildkit.cli.bundle", (-2, "", "")),
        ("buildkit.cli.main", (-2, "", "")),
        ("buildkit.cli.parse", (130, "", "ERROR: cancelled\n")),
    ],
)
def test_a_signal_while_a_module_is_imported_is_quiet(
    copy: Copy, module: str, told: tuple[int, str, str]
) -> None:
    before = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), 2)\n"
        "sys.meta_path.insert(0, Finder)\n"
    )
    assert copy.run("parse", "--help", before=before) == told
    ignored = f"import _signal\n_signal.signal(2, _signal.SIG_IGN)\n{before}"
    assert copy.run("parse", "--help", before=ignored)[0] == 0


def test_a_traceback_shows_the_lines_of_the_source(copy: Copy) -> None:
    copy.run("parse", "--help")
    broken = "import sys\nsys.modules['buildkit.cli.options'] = None"
    status, _, errors = copy.run("parse", "--help", before=broken, PYBUILD_TRACEBACK="1")
    assert status == 125
    assert "from buildkit.cli.options import" in errors
