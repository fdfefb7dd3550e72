"""What README and docs/ show: commands that exist, options that they have, and lines that run."""

import os
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from buildkit.cli.main import COMMANDS
from tests import kernel
from tests.program import PROGRAM, TOP

PAGES = sorted([TOP / "README.md", *(TOP / "docs").rglob("*.md")])
_MARKED = re.compile(r"<!-- command: (\S+) -->\n```sh\n(.*?)```\n", re.DOTALL)
_BLOCK = re.compile(
    r"^```(?:sh|console|text)?\n(.*?)^```$|^    (pybuild .*)$", re.DOTALL | re.MULTILINE
)
_INLINE = re.compile(r"`(pybuild [^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_ALIASES = {"--net": "--network"}


def shown() -> list[tuple[str, str]]:
    """Return the calls of pybuild that the pages show, with the page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = [one or other for one, other in _BLOCK.findall(text)]
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines() + _INLINE.findall(text)
        found += [
            (str(page.relative_to(TOP)), line.strip().removeprefix("$ "))
            for line in lines
            if re.match(r"(\$ )?pybuild( |$)", line.strip())
        ]
    return found


@cache
def help_of(*words: str) -> str:
    done = subprocess.run([*PROGRAM, *words, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_options(command: str) -> None:
    assert help_of(command).startswith("usage: pybuild")


def test_the_readme_names_every_command() -> None:
    table = [
        line for line in (TOP / "README.md").read_text().splitlines() if line.startswith("| `")
    ]
    named = set(re.findall(r"[a-z]+", " ".join(line.split(" | ")[0] for line in table)))
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize(("page", "line"), shown())
def test_what_the_pages_show_exists(page: str, line: str) -> None:
    line = line.partition(" #")[0].partition(" |")[0]
    words = line.replace("[", "").replace("]", "").split()[1:]
    command = next((word for word in words if word in COMMANDS), "build")
    options = set(_OPTION.findall(line)) - {"--root", "--help", "--version"}
    wanted = {_ALIASES.get(option, option) for option in options}
    if command == "run":  # what follows the image is the command's own
        wanted = {option for option in wanted if option in help_of("run") or " -- " not in line}
    told = help_of(command)
    after = words[words.index(command) + 1 :] if command in words else []
    if after and re.search(rf"^    {after[0]} ", told, re.MULTILINE):
        told += help_of(command, after[0])
    missing = {option for option in wanted if not re.search(rf"{option}\b", told)}
    assert not missing, f"{page}: {line}"


def marked(name: str) -> str:
    """Return the lines behind the marker of README."""
    found: dict[str, str] = dict(_MARKED.findall((TOP / "README.md").read_text(encoding="utf-8")))
    return found[name]


def test_the_first_command_of_the_readme_greets(tmp_path: Path) -> None:
    kernel.require("overlay")
    kernel.require("root" if os.geteuid() == 0 else "rootless")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", marked("hello")],
        cwd=checkout(tmp_path),
        env={
            **os.environ,
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "PYBUILD_ROOT": f"{tmp_path}/s",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.splitlines()[-1] == "Hello, world! This was printed from inside the container."
    )


def test_the_second_command_of_the_readme_runs_the_tests(tmp_path: Path) -> None:
    words = shlex.split(marked("test"))
    assert words[-8:-4] == [".venv/bin/python", "-m", "pytest", "-q"]


def checkout(top: Path) -> Path:
    """Make a checkout in which installing is done already: CI does that for real."""
    made, tools = top / "checkout", top / "bin"
    for directory in (made / ".venv/bin", tools):
        directory.mkdir(parents=True)
    (made / "fixtures").symlink_to(TOP / "fixtures")
    start = f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n'
    skip = "#!/bin/sh\nexit 0\n"
    scripts = {
        made / ".venv/bin/pybuild": start,
        made / ".venv/bin/pip": skip,
        tools / "python3": skip,
    }
    for path, text in scripts.items():
        path.write_text(text)
        path.chmod(0o755)
    return made
