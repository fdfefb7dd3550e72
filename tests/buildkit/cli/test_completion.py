"""The completion of command lines: what real shells make of the scripts."""

import os
import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from buildkit.cli import completion_bash, completion_fish, completion_zsh
from buildkit.cli.completion_words import words
from buildkit.cli.main import COMMANDS, TWO_WORDS, main
from tests.e2e.tools import needs_tool

WORDS = tuple(words())
FAKE = """#!/bin/sh
case "$*" in
    'ps -a --format {{.Names}}') echo one; echo two ;;
    'ps --format {{.Names}}') echo one ;;
    '--root /r images --format {{.Repository}}:{{.Tag}}') echo other:1 ;;
    'images --format {{.Repository}}:{{.Tag}}')
        echo busybox:latest; echo busybox:old; echo '<none>:<none>'; echo h:5000/app:1 ;;
    'volume ls -q') echo data ;;
esac
"""
"""What pybuild is for the scripts: it knows two containers, images and a volume."""

CASES = {
    "pybuild bu": "build builder buildx",
    "pybuild volume ": "create inspect list ls prune remove rm",
    "pybuild container ren": "rename",
    "pybuild nothing": "",
    "pybuild run --cap": "--cap-add --cap-drop",
    "pybuild container run --cap-a": "--cap-add",
    "pybuild --tar": "--target",
    "pybuild -t x --tar": "--target",
    "pybuild build --progress ": "auto none plain quiet rawjson tty",
    "pybuild build --progress=t": "tty",
    "pybuild run --pull=a": "always",
    "pybuild attest s": "show",
    "pybuild attest show bu": "busybox:latest busybox:old",
    "pybuild rm ": "one two",
    "pybuild rm one ": "one two",
    "pybuild stop ": "one",
    "pybuild logs one ": "",
    "pybuild logs -n 5 ": "one two",
    "pybuild volume rm ": "data",
    "pybuild volume remove d": "data",
    "pybuild diff o": "one",
    "pybuild rmi busybox:l": "busybox:latest",
    "pybuild rmi h:": "h:5000/app:1",
    "pybuild --root /r run o": "other:1",
    "pybuild rename one ": "",
    "pybuild build s": "sub",
    "pybuild build -f s": "some sub",
    "pybuild build --target ": "",
    "pybuild run --rm busybox s": "some sub",
    "pybuild run -it -e A=b busybox --ca": "",
    "pybuild exec one --": "",
    "pybuild base h": "host",
    "pybuild completion z": "zsh",
    "pybuild tree --format ": "json text",
}
"""What is typed, and what can come next: whole words."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two names, and a pybuild beside it."""
    top = tmp_path_factory.mktemp("completion")
    (top / "bin").mkdir()
    (top / "bin/pybuild").write_text(FAKE)
    (top / "bin/pybuild").chmod(0o755)
    (top / "here/sub").mkdir(parents=True)
    (top / "here/some").write_text("")
    return top


def told(place: Path, shell: str, *arguments: str, text: str = "") -> str:
    """Return what a shell prints."""
    done = subprocess.run(
        [shell, *arguments],
        input=text,
        cwd=place / "here",
        env={"PATH": f"{place}/bin:{os.defpath}", "HOME": str(place), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def bash_words(line: str) -> list[str]:
    """Return the words of a line as bash gives them, which breaks them at : and = too."""
    found = re.findall(r"[:=]+|[^\s:=]+", line)
    return [*found, ""] if line.endswith(" ") else found


def test_bash_completes_words_and_what_there_is(place: Path) -> None:
    lines = [completion_bash.script(WORDS), "complete -p pybuild"]
    for line in CASES:
        quoted = " ".join(f"'{word}'" for word in bash_words(line))
        lines += [
            f"COMP_WORDS=({quoted}) COMP_LINE='{line}' COMP_POINT={len(line)}",
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()",
            '_pybuild; echo "${COMPREPLY[*]}"',
        ]
    declared, *answers = told(place, "bash", "--norc", text="\n".join(lines)).splitlines()
    assert declared == "complete -F _pybuild pybuild"
    found = {}
    for line, answer in zip(CASES, answers, strict=True):
        # What is on the line already before a : or = is not given again.
        typed = line.rpartition(" ")[2]
        before = typed[: max(typed.rfind(":"), typed.rfind("=")) + 1]
        before = before.rpartition("=")[2]
        found[line] = " ".join(sorted(before + word for word in answer.split()))
    assert found == CASES


def test_every_command_and_option_is_completed() -> None:
    scripts = [one.script(WORDS) for one in (completion_bash, completion_zsh, completion_fish)]
    for script in scripts:
        for name in {*COMMANDS, *TWO_WORDS}:
            assert re.search(rf"\b{name}\b", script)
    options = {name for one in WORDS for option in one.options for name in option.names}
    assert {"--tag", "--publish", "--format", "--help"} <= options
    for script in scripts[:2]:
        assert all(option in script for option in options)


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        script = import_module(f"buildkit.cli.completion_{shell}").script(WORDS)
        assert capsys.readouterr().out == script
    assert main(["completion", "tcsh"]) == 2


@pytest.mark.parametrize(
    "shell",
    [pytest.param("zsh", marks=needs_tool("zsh")), pytest.param("fish", marks=needs_tool("fish"))],
)
def test_the_other_shells_understand_their_scripts(place: Path, shell: str) -> None:
    script = import_module(f"buildkit.cli.completion_{shell}").script(WORDS)
    (place / shell).write_text(script)
    assert told(place, shell, "-n", str(place / shell)) == ""
