"""COPY cases as text: trees in, an instruction, the upper directory (or an error) out.

    # a file goes into an existing directory
    context:
      file a.txt text=A
    parent:
      dir app 0700 1:1
    COPY a.txt /app
    upper:
      dir app 0700 1:1
      file app/a.txt 0644 0:0 text=A

`stage:` is what `--from=stage` means; without `parent:` the parent is scratch; `ignore:` holds the
lines of an ignore file. `error:` and `hint:` give texts that the error has to contain. Trees are
written as in tests/trees.py, and `heredoc NAME TEXT` in the instruction's block adds a heredoc.
"""

import shlex
from pathlib import Path
from typing import NamedTuple

from buildkit.llb.op import CopyOp, CopySource, InlineFile

TOP = Path(__file__).resolve().parents[3]


class Case(NamedTuple):
    """One case; sections hold their lines."""

    name: str
    place: str
    instruction: str
    sections: dict[str, list[str]]


def read_cases(folder: Path) -> list[Case]:
    """Return the cases of all files in `folder`."""
    found: list[Case] = []
    for path in sorted(folder.glob("*.txt")):
        for block in path.read_text(encoding="utf-8").split("\n# ")[1:]:
            name, _, rest = block.partition("\n")
            found.append(_read_case(name, path.stem, rest))
    return found


def _read_case(name: str, place: str, text: str) -> Case:
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    instruction = ""
    for line in text.splitlines():
        if line.startswith(("COPY ", "ADD ")):
            instruction = line
            lines = sections.setdefault("heredocs", [])
        elif line.startswith(("error: ", "hint: ")):
            key, _, value = line.partition(": ")
            sections[key] = [value]
        elif line.strip() and not line.startswith(" "):
            lines = sections.setdefault(line.rstrip(":"), [])
        elif line.strip():
            lines.append(line.strip())
    return Case(name, place, instruction, sections)


def parse_copy(instruction: str, heredocs: list[str] = []) -> tuple[CopyOp, str]:  # noqa: B006
    """Return the op of an instruction in shell words, and what `--from` says."""
    keyword, *words = shlex.split(instruction, posix=True)
    flags: dict[str, list[str]] = {}
    while words and words[0].startswith("--"):
        key, _, value = words.pop(0)[2:].partition("=")
        flags.setdefault(key, []).append(value)
    *sources, dest = words
    origin = 2 if "from" in flags else 1
    listed: list[CopySource | InlineFile] = [CopySource(origin, path) for path in sources]
    for heredoc in heredocs:
        _, name, text = heredoc.split(" ", 2)
        listed.append(InlineFile(name, text.encode().decode("unicode_escape")))
    unpack = {"ADD": "auto", "COPY": "never"}[keyword]
    if "unpack" in flags:
        unpack = "never" if flags["unpack"] == ["false"] else "always"
    op = CopyOp(
        sources=tuple(listed),
        dest=dest,
        chown=flags.get("chown", [""])[0],
        chmod=flags.get("chmod", [""])[0],
        exclude=tuple(flags.get("exclude", [])),
        parents="parents" in flags,
        link="link" in flags,
        unpack=unpack,  # type: ignore[arg-type]
        keep_owner="from" in flags,
    )
    return op, flags.get("from", [""])[0]
