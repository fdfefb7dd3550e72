"""`parse`, `expand`, `context`, `outline` and `targets`, from outside."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.program import Pybuild

DOCKERFILE = """\
# syntax=a/b:1
# VERSION of the base
ARG VERSION=3
ARG OTHER=4
# base is what all stand on
FROM alpine:$VERSION AS base
ARG TARGETARCH
ENV DIR=/d
RUN --mount=type=cache,target=$DIR/x true

FROM alpine:$OTHER AS unused
ARG LOST=1
RUN --mount=type=secret,id=lost true

# App is the program
FROM --platform=$BUILDPLATFORM base AS App
# FLAGS for the compiler
ARG FLAGS="-O2 -g" LEVEL
ARG VERSION
RUN --mount=type=secret,id=token,required \\
    --mount=type=secret,id=other \\
    --mount=type=ssh --mount=type=cache,id=c$LEVEL,target=/c true
RUN --mount=type=secret,id=other,required=true --mount=type=ssh,id=git,required true
"""


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    (tmp_path / "context").mkdir()
    return Pybuild(tmp_path / "root", tmp_path / "context")


def write(pybuild: Pybuild, **files: str) -> None:
    for name, text in files.items():
        (pybuild.cwd / name).write_text(text, "utf-8")


def read(pybuild: Pybuild, *arguments: str) -> Any:
    return json.loads(pybuild(*arguments).ok().output)


def test_outline_tells_what_the_target_takes(pybuild: Pybuild) -> None:
    write(pybuild, Dockerfile=DOCKERFILE)
    found = read(pybuild, "outline", "--format", "json", "--build-arg", "LEVEL=2")
    assert (found["name"], found["description"]) == ("app", "is the program")
    assert [(one["name"], one["value"], one["description"]) for one in found["args"]] == [
        ("VERSION", "3", "of the base"),
        ("FLAGS", "-O2 -g", "for the compiler"),
        ("LEVEL", "2", ""),
    ]
    assert [(one["name"], one["required"]) for one in found["secrets"]] == [
        ("token", True),
        ("other", True),
    ]
    assert [(one["name"], one["required"]) for one in found["ssh"]] == [
        ("default", False),
        ("git", True),
    ]
    assert [one["ID"] for one in found["cache"]] == ["/d/x", "c2"]


def test_outline_is_for_the_target_that_is_asked_for(pybuild: Pybuild) -> None:
    write(pybuild, Dockerfile=DOCKERFILE)
    done = pybuild("outline", "--target", "unused").ok()
    assert done.output == (
        "TARGET:      unused\n\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "OTHER       4\n"
        "LOST        1\n\n"
        "SECRET   REQUIRED\n"
        "lost     false\n"
    )
    wrong = pybuild("outline", "--target", "unusd")
    assert wrong.status == 2
    assert "(did you mean unused?)" in wrong.errors


def test_targets_lists_the_stages(pybuild: Pybuild) -> None:
    write(pybuild, Dockerfile=DOCKERFILE)
    assert pybuild("targets").ok().output == (
        "TARGET          BASE              DESCRIPTION\n"
        "base            alpine:$VERSION   is what all stand on\n"
        "unused          alpine:$OTHER\n"
        "app (default)   base              is the program\n"
    )
    found = read(pybuild, "targets", "--format", "json")["targets"]
    assert found[2] == {
        "name": "app",
        "number": 2,
        "default": True,
        "description": "is the program",
        "base": "base",
        "platform": "$BUILDPLATFORM",
        "line": 16,
    }


def test_parse_prints_the_document_of_the_syntax(pybuild: Pybuild) -> None:
    write(pybuild, Dockerfile='# escape=`\nFROM a\nFOO  b\nENV a="$b" c=d\nRUN <<E\nx\nE\n')
    found = read(pybuild, "parse", "-f", "Dockerfile", "--format", "json")
    assert found["directives"] == {"escape": "`"}
    assert [one["name"] for one in found["instructions"]] == ["FROM", "FOO", "ENV", "RUN"]
    assert found["instructions"][2]["args"] == ["a", '"$b"', "c", "d"]
    assert found["instructions"][3]["end_line"] == 7
    assert found["instructions"][3]["heredocs"] == [
        {"name": "E", "content": "x\n", "expand": True, "chomp": False}
    ]


def test_parse_prints_a_line_for_each_of_several_files(pybuild: Pybuild) -> None:
    write(pybuild, good="FROM a\n", bad="FROM a\nENV b\n")
    done = pybuild("parse", "--format", "jsonl", "-f", "good", "-f", "bad", "-f", "none")
    assert done.status == 1
    good, bad, none = map(json.loads, done.output.splitlines())
    assert good["file"] == "good" and len(good["instructions"]) == 1
    message = "dockerfile parse error on line 2: ENV must have two arguments"
    assert bad == {"file": "bad", "error": message, "line": 2}
    assert none["error"].startswith("failed to read dockerfile") and none["line"] is None


def test_parse_reads_standard_input_and_names_the_line_of_an_error(pybuild: Pybuild) -> None:
    assert pybuild("parse", "-f", "-", stdin="from a\n").ok().output == "1: from\n    arg a\n"
    done = pybuild("parse", "-f", "-", "--format", "json", stdin="FROM a\nLABEL b\n")
    assert done.status == 1
    assert done.output == ""
    assert "line 2" in done.errors


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["-e", "A=1", "--", "$A-${B:-2}"], "1-2\n"),
        (["-e", "A=x y", "--words", "--", '$A "$A"'], '["x", "y", "x y"]\n'),
        (["--escape", "`", "--", "`$A\\b"], "$A\\b\n"),
        (["-e", "A=\u00e9", "--format", "json", "--", "$A"], '"\\u00e9"\n'),
        (["--", "-x"], "-x\n"),
        (["-e", "NOT_SET_ANYWHERE", "--", "${NOT_SET_ANYWHERE-unset}"], "unset\n"),
        (["-e", "LANG", "--", "$LANG"], "C.UTF-8\n"),
    ],
)
def test_expand_prints_the_expanded_word(
    pybuild: Pybuild, arguments: list[str], output: str
) -> None:
    assert pybuild("expand", *arguments).ok().output == output


def test_expand_fails_for_a_word_that_cannot_be_expanded(pybuild: Pybuild) -> None:
    done = pybuild("expand", "--", "${A:?is needed}")
    assert (done.status, done.output) == (1, "")
    assert "A: is needed" in done.errors
    assert pybuild("expand", "--escape", "x", "--", "a").status == 2


def context(pybuild: Pybuild) -> None:
    (pybuild.cwd / "src").mkdir()
    (pybuild.cwd / "logs/deep").mkdir(parents=True)
    for path, size in (("src/a.c", 2000), ("src/b.o", 10), ("logs/deep/x", 1), ("logs/y", 1)):
        (pybuild.cwd / path).write_bytes(b"." * size)
    write(pybuild, **{".dockerignore": "# c\n**/*.o\nlogs\n!logs/y\n", "Dockerfile": "FROM a\n"})


def test_context_lists_what_a_build_sees(pybuild: Pybuild) -> None:
    context(pybuild)
    seen = pybuild("context", "ls", ".").ok().output.split()
    assert seen == [".dockerignore", "Dockerfile", "logs", "logs/y", "src", "src/a.c"]
    hidden = pybuild("context", "ls", "--ignored", ".").ok().output.split()
    assert hidden == ["logs/deep", "src/b.o"]
    big = read(pybuild, "context", "ls", "--big", "--format", "json", ".")
    assert (big[0]["path"], big[0]["size"]) == ("src/a.c", 2000)


def test_context_says_which_line_decides(pybuild: Pybuild) -> None:
    context(pybuild)
    done = pybuild("context", "why", "src/b.o", "logs/y", "src/a.c").ok()
    assert done.output == (
        "src/b.o: line 2 of .dockerignore hides it: **/*.o\n"
        "logs/y: line 4 of .dockerignore keeps it: !logs/y\n"
        "src/a.c: no line of .dockerignore speaks of it: a build sees it\n"
    )
    found = read(pybuild, "context", "why", "--format", "json", "logs/deep/x")
    (pybuild.cwd.parent / "link").symlink_to(pybuild.cwd)
    paths = (pybuild.cwd / "..odd", pybuild.cwd.parent / "link/src/b.o")
    absolute = pybuild("context", "why", *paths).ok().output.splitlines()
    assert [line.partition(":")[0] for line in absolute] == ["..odd", "src/b.o"]
    assert "lies outside" in pybuild("context", "why", pybuild.cwd.parent / "x").errors
    assert (found["hidden"], found["line"], found["rule"]) == (True, 3, "logs")


def test_a_dockerfile_brings_its_own_ignore_file(pybuild: Pybuild) -> None:
    context(pybuild)
    write(pybuild, **{"Dockerfile.dockerignore": "src\n"})
    assert "src" not in pybuild("context", "ls").ok().output.split()
    assert "src" in pybuild("context", "ls", "-f", "other").ok().output.split()
