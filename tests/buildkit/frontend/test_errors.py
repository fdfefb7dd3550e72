"""What is wrong with a Dockerfile, told in the words of the reference, at its lines."""

from typing import Any, NamedTuple

import pytest

from buildkit.errors import DefinitionError
from buildkit.frontend.options import LowerOptions, NamedContext
from tests.buildkit.frontend.plans import AMD64, lowered, parsed

MANY = "9" * 5000
"""More digits than Python converts."""


class Case(NamedTuple):
    text: str
    message: str
    line: int | None
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    images: dict[str, Any] = {}  # noqa: RUF012 - never changed


CASES = {
    "unknown target": Case(
        "FROM alpine AS test",
        'target stage "tset" could not be found (did you mean test?)',
        None,
        {"target": "tset"},
    ),
    "unknown target number": Case(
        "FROM alpine", 'target stage "1" could not be found', None, {"target": "1"}
    ),
    "blank base": Case("ARG X\nFROM $X", "base name ($X) should not be blank", 2),
    "blank base with a near miss": Case(
        "ARG IMAGE=a\nFROM $IMGAE",
        "base name ($IMGAE) should not be blank (did you mean IMAGE?)",
        2,
    ),
    "impossible base": Case(
        "FROM Alpine",
        "failed to parse stage name \"Alpine\": 'Alpine' is not an image name: "
        "it has upper-case letters",
        1,
    ),
    "empty platform": Case(
        "FROM --platform=$TARGETPLATFROM alpine",
        "empty platform value from expression $TARGETPLATFROM (did you mean TARGETPLATFORM?)",
        1,
    ),
    "bad platform": Case(
        "FROM --platform=a/b/c/d alpine",
        "failed to parse platform a/b/c/d: not a platform: 'a/b/c/d'",
        1,
    ),
    "bad expansion in FROM": Case("FROM ${X:?none}", 'failed to process "${X:?none}": X: none', 1),
    **{
        f"a NUL character: {line}": Case(
            f"FROM alpine\n{line}\n", f'"{path}\\x00" cannot be a path: it has a NUL character', 2
        )
        for line, path in (
            ("WORKDIR /a\0", "/a"),
            ("COPY a\0 /", "a"),
            ("COPY a /b\0", "/b"),
            ("ADD a\0 /", "a"),
            ("COPY <<E /a\0\nE", "/a"),
            ("RUN --mount=type=tmpfs,target=/a\0 true", "/a"),
            ("RUN --mount=type=bind,source=a\0,target=/a true", "a"),
            ("RUN --mount=type=cache,from=alpine,source=a\0,target=/a true", "a"),
        )
    },
    **{
        f"a NUL character: {line}": Case(
            f"FROM alpine\n{line}\n", f"{line.split()[0]} has a NUL character in it", 2
        )
        for line in (
            "ENV A=b\0c",
            "ENV A\0=b",
            "ARG A=\0",
            "LABEL a=b\0",
            "USER a\0",
            "VOLUME /a\0",
            'VOLUME ["/a\\u0000"]',
            "RUN a\0",
            'RUN ["a\\u0000"]',
            "RUN --mount=type=cache,id=a\0,target=/c true",
            "RUN --mount=type=secret,id=a,env=A\0 true",
            "COPY --exclude=a\0 . /",
            'CMD ["a\\u0000"]',
            "ENTRYPOINT a\0",
            'ENTRYPOINT ["a", "\\u0000"]',
            "HEALTHCHECK CMD a\0",
            'HEALTHCHECK CMD ["a\\u0000"]',
            'SHELL ["a\\u0000"]',
            "MAINTAINER a\0",
            "ONBUILD RUN a\0",
        )
    },
    **{
        f"a mount at {target}": Case(
            f"FROM alpine\nRUN --mount=type=tmpfs,target={target} true",
            f'"{place}" cannot be mounted because it is inside /proc',
            2,
        )
        for target, place in (
            ("/proc", "/proc"),
            ("/proc/self", "/proc/self"),
            ("/x/../proc/1/fd/", "/proc/1/fd"),
        )
    },
    "copy from itself": Case(
        "FROM alpine AS a\nCOPY --from=a / /", "circular dependency detected on stage: a", 2
    ),
    "a circle": Case(
        "FROM alpine AS a\nCOPY --from=b / /\nFROM alpine AS b\n"
        "RUN --mount=from=c,target=/c ls\nFROM alpine AS c\nCOPY --from=0 / /",
        "circular dependency detected on stage: a",
        6,
    ),
    "copy from a later stage": Case(
        "FROM alpine AS a\nCOPY --from=Later / /\nFROM alpine AS later\nFROM a",
        'cannot copy from stage "Later", it needs to be defined before current stage "a"',
        2,
    ),
    "mount from a later stage": Case(
        "FROM alpine\nRUN --mount=from=later,target=/y ls\nFROM alpine AS later\nFROM alpine\n"
        "COPY --from=0 / /",
        'cannot mount from stage "later" to "/y", stage needs to be defined before current command',
        2,
    ),
    "stage index": Case("FROM alpine\nCOPY --from=7 / /", "invalid stage index 7", 2),
    "negative stage index": Case("FROM alpine\nCOPY --from=-1 / /", "invalid stage index -1", 2),
    "copy from no image": Case(
        "FROM alpine AS build\nFROM alpine\nCOPY --from=Buidl / /",
        "failed to parse stage name \"Buidl\": 'Buidl' is not an image name: "
        "it has upper-case letters (did you mean build?)",
        3,
    ),
    "multiple sources": Case(
        "FROM alpine\nCOPY a b \\\n  /c",
        "When using COPY with more than one source file, the destination must be a directory and "
        "end with a /",
        2,
    ),
    "multiple sources of ADD": Case(
        "FROM alpine\nADD a <<b /c\nb",
        "When using ADD with more than one source file, the destination must be a directory and "
        "end with a /",
        2,
    ),
    "chmod": Case(
        "FROM alpine\nCOPY --chmod=abc a /a",
        "invalid chmod parameter: 'abc'. it should be octal string and between 0 and 07777",
        2,
    ),
    "chmod too big": Case(
        "FROM alpine\nARG M=10000\nCOPY --chmod=$M a /a",
        "invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777",
        3,
    ),
    "checksum of a file": Case(
        "FROM alpine\nADD --checksum=sha256:00 a /a", "checksum requires HTTP(S) or Git sources", 2
    ),
    "checksum of many": Case(
        "FROM alpine\nADD --checksum=sha256:00 http://a/b http://a/c /a/",
        "checksum can't be specified for multiple sources",
        2,
    ),
    "a bad checksum": Case(
        "FROM alpine\nADD --checksum=md5:00 http://a/b /a", 'invalid checksum "md5:00"', 2
    ),
    "COPY of a URL": Case("FROM alpine\nCOPY http://a/b /a", "source can't be a URL for COPY", 2),
    "COPY of a repository": Case(
        "FROM alpine\nCOPY https://a/b.git /a", "source can't be a git ref for COPY", 2
    ),
    "keep-git-dir": Case(
        "FROM alpine\nADD --keep-git-dir https://a/b.git?keep-git-dir=0 /a",
        "inconsistent keep-git-dir configuration",
        2,
    ),
    "query of a repository": Case(
        "FROM alpine\nADD https://a/b.git?depth=1 /a", 'unexpected query "depth"', 2
    ),
    "network host": Case("FROM alpine\nRUN --network=host x", "network.host is not allowed", 2),
    "security insecure": Case(
        "FROM alpine\nRUN --security=insecure x", "security.insecure is not allowed", 2
    ),
    "device": Case("FROM alpine\nRUN --device=gpu x", "RUN --device is not supported", 2),
    "a heredoc's name": Case(
        "FROM alpine\nCOPY <<a/b /x\na/b", 'heredoc name "a/b" cannot be a file\'s name', 2
    ),
    "a script's name": Case(
        "FROM alpine\nRUN <<..\n#!/bin/sh\n..", 'heredoc name ".." cannot be a file\'s name', 2
    ),
    "nothing to run": Case("FROM alpine\nRUN []", "RUN requires at least one argument", 2),
    "mount target": Case(
        "FROM alpine\nRUN --mount=type=cache,target=/x/.. x", 'invalid mount target "/"', 2
    ),
    "no mount target": Case("FROM alpine\nRUN --mount=from=a x", 'invalid mount target ""', 2),
    "mount type": Case(
        "FROM alpine\nARG T=cahce\nRUN --mount=type=$T,target=/x x",
        'unsupported mount type "cahce" (did you mean cache?)',
        3,
    ),
    "a secret from somewhere": Case(
        "FROM alpine\nRUN --mount=type=secret,id=x,from=alpine x",
        "secret mount should not have a from",
        2,
    ),
    "a tmpfs that nobody can write": Case(
        "FROM alpine\nRUN --mount=type=tmpfs,target=/x,ro x",
        'readonly is not supported for "tmpfs" type mounts',
        2,
    ),
    "port": Case("FROM alpine\nEXPOSE 80 x", "invalid containerPort: x", 2),
    "protocol": Case("FROM alpine\nEXPOSE 80/icmp", "invalid proto: icmp", 2),
    "signal": Case("FROM alpine\nARG S=SIGX\nSTOPSIGNAL $S", "invalid signal: SIGX", 3),
    "empty volume": Case(
        "FROM alpine\nVOLUME $NOTHING", "VOLUME specified can not be an empty string", 2
    ),
    "blank name": Case("FROM alpine\nENV $NOTHING=1", "ENV names can not be blank", 2),
    "blank label": Case("FROM alpine\nLABEL $NOTHING=1", "LABEL names can not be blank", 2),
    "required variable": Case(
        "FROM alpine\nENV A=1\nWORKDIR ${B?set B} \n", 'failed to process "${B?set B}": B: set B', 3
    ),
    "unset variable": Case(
        "FROM alpine\nUSER ${B:?}", 'failed to process "${B:?}": B: is not allowed to be unset', 2
    ),
    "empty variable": Case(
        "FROM alpine\nARG B=\nUSER ${B:?}",
        'failed to process "${B:?}": B: is not allowed to be empty',
        3,
    ),
    "modifier": Case(
        "FROM alpine\nLABEL a=${B:=x}",
        'failed to process "${B:=x}": unsupported modifier (:=) in substitution',
        2,
    ),
    "a trigger of an image": Case(
        "FROM alpine AS a\nFROM parent",
        "FROM isn't allowed as an ONBUILD trigger",
        2,
        images={"parent": {"onbuild": ["FROM x"]}},
    ),
    "a trigger that is no instruction": Case(
        "FROM parent",
        "unknown instruction: RUM (did you mean RUN?)",
        1,
        images={"parent": {"onbuild": ["RUM x"]}},
    ),
    "a trigger of a stage": Case(
        "FROM alpine AS a\nONBUILD EXPOSE x\nFROM a\nRUN x", "invalid containerPort: x", 3
    ),
    "a trigger that names no stage": Case(
        "FROM parent",
        "invalid stage index 3",
        1,
        images={"parent": {"onbuild": ["COPY --from=3 / /"]}},
    ),
    "target with many digits": Case(
        "FROM alpine", f'target stage "{MANY}" could not be found', None, {"target": MANY}
    ),
    "stage index with many digits": Case(
        f"FROM alpine\nCOPY --from={MANY} / /", f"invalid stage index {MANY}", 2
    ),
    "SOURCE_DATE_EPOCH with many digits": Case(
        "FROM alpine",
        f"invalid SOURCE_DATE_EPOCH: {MANY}",
        None,
        {"build_args": {"SOURCE_DATE_EPOCH": MANY}},
    ),
    "SOURCE_DATE_EPOCH": Case(
        "FROM alpine",
        "invalid SOURCE_DATE_EPOCH: yesterday",
        None,
        {"build_args": {"SOURCE_DATE_EPOCH": "yesterday"}},
    ),
    "a context that is no image": Case(
        "FROM alpine",
        "build context \"alpine\": 'A' is not an image name: it has upper-case letters",
        None,
        {"contexts": {"alpine": NamedContext("image", "A")}},
    ),
    "a context that is no repository": Case(
        "FROM alpine\nCOPY --from=r / /",
        'build context "r": unexpected query "x"',
        None,
        {"contexts": {"r": NamedContext("git", "https://a/b.git?x=1")}},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_mistake_is_told_at_its_line(case: Case) -> None:
    options = LowerOptions(build_platform=AMD64, **case.options)
    with pytest.raises(DefinitionError) as caught:
        lowered(parsed(case.text), options, case.images)
    assert caught.value.message == case.message
    assert (caught.value.lines or (None,))[0] == case.line


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FROM a:$TAG", "TAG is not declared: FROM sees an ARG that stands before the first FROM"),
        (
            "ARG TAG\nFROM a:$TAG",
            "TAG has no value: give one with --build-arg TAG=VALUE or ARG TAG=VALUE",
        ),
        ("ARG P\nFROM --platform=$P a", "P has no value: give one with --build-arg P=VALUE or "),
        ("FROM a\nARG B=x\nFROM $B", "B is not declared: FROM sees an ARG that stands before"),
        ("FROM a:-", ""),
    ],
)
def test_a_variable_of_from_without_a_value_is_explained(text: str, hint: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        lowered(parsed(text))
    assert caught.value.hint.startswith(hint)
    assert bool(caught.value.hint) == bool(hint)


def test_what_looks_like_a_nul_character_is_none() -> None:
    text = 'FROM alpine\nCMD ["a\\\\u0000"]\nRUN echo \\u0000\nCOPY <<E /x\n\0\nE\n'
    lowered(parsed(text), LowerOptions(build_platform=AMD64))


def test_an_error_covers_all_lines_of_its_instruction() -> None:
    with pytest.raises(DefinitionError) as caught:
        lowered(parsed("FROM alpine\nCOPY --chmod=x \\\n  a \\\n  /b\n"))
    assert caught.value.lines == (2, 4)


def test_a_mistake_in_a_stage_that_nobody_needs_does_not_matter() -> None:
    bad = "FROM alpine AS bad\nRUN --network=host x\nEXPOSE x\nONBUILD EXPOSE x\nFROM bad\n"
    text = f"{bad}FROM alpine"
    assert lowered(parsed(text)).target is not None


@pytest.mark.parametrize("entitlement", ["network.host", "security.insecure"])
def test_the_hint_names_the_entitlement(entitlement: str) -> None:
    flag = entitlement.replace(".", "=")
    with pytest.raises(DefinitionError) as caught:
        lowered(parsed(f"FROM alpine\nRUN --{flag} x"))
    assert caught.value.hint == f"allow it with --allow {entitlement}"
