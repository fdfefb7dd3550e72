"""The syntactic view, compared with BuildKit's parser."""

import pathlib
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from grammar.errors import DockerfileError
from grammar.parser import parse
from grammar.source import Source
from grammar.syntax import parse_syntax, to_json
from tests.grammar.buildkit import DIFFERENCES, is_excused, ours, theirs
from tests.grammar.dockerfiles import files

FIXTURES = pathlib.Path("fixtures")
DOCKERFILES = sorted(FIXTURES.glob("dockerfiles/*/Dockerfile"))
DOCKERFILES += sorted(FIXTURES.glob("invalid/*/Dockerfile"))
OLDER = frozenset(
    (
        "heredoc-blank-before-name",
        "heredoc-in-arithmetic",
        "heredoc-quotes-double",
        "heredoc-quotes-single",
        "json-that-is-none",
    )
)
"""Fixtures that show one of DIFFERENCES."""


@settings(
    max_examples=800, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(files())
@example("FROM a\nRUN a\\\n")
def test_generated_files_are_seen_as_buildkit_sees_them(text: str) -> None:
    assume(not is_excused(text))
    assert ours(text) == theirs(text)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_fixtures_are_seen_as_buildkit_sees_them(path: pathlib.Path) -> None:
    text = path.read_bytes().decode("utf-8", errors="replace")
    if path.parent.name in OLDER:
        assert ours(text) != theirs(text)
    else:
        assert ours(text) == theirs(text)


@pytest.mark.parametrize("text", DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_to_the_older_parser_is_still_one(text: str) -> None:
    assert ours(text) != theirs(text)


def test_the_json_document_has_the_shape_that_parse_prints() -> None:
    text = '# escape=`\nfrom a\nONBUILD COPY --from=b <<-"E" `\n  c\n\tx\n\tE\nCMD ["d"]\n'
    assert to_json(parse_syntax(Source("Dockerfile", text))) == {
        "directives": {"escape": "`"},
        "instructions": [
            _instruction("from", 2, 2, args=["a"], original="from a"),
            _instruction(
                "ONBUILD",
                3,
                6,
                original='ONBUILD COPY --from=b <<-"E"   c',
                heredocs=[HEREDOC],
                sub=_instruction(
                    "COPY",
                    3,
                    4,
                    flags=["--from=b"],
                    args=['<<-"E"', "c"],
                    original='COPY --from=b <<-"E"   c\n\tx\nE\n',
                    heredocs=[HEREDOC],
                ),
            ),
            _instruction("CMD", 7, 7, args=["d"], json=True, original='CMD ["d"]'),
        ],
    }


HEREDOC: dict[str, object] = {"name": "E", "content": "\tx\n", "expand": False, "chomp": True}


def _instruction(name: str, line: int, end_line: int, **given: object) -> dict[str, object]:
    empty: dict[str, object] = {"flags": [], "args": [], "json": False, "heredocs": [], "sub": None}
    return {"name": name, "line": line, "end_line": end_line, **empty, **given}


def test_the_first_error_of_the_syntax_wins_over_unknown_instructions_before_it() -> None:
    with pytest.raises(DockerfileError, match="on line 2: ENV must have two arguments"):
        parse_syntax(Source("Dockerfile", "FOO\nENV a\n"))


def test_two_thousand_lines_take_less_than_three_times_what_buildkit_takes_and_100_ms() -> None:
    text = "FROM alpine:3.19 AS base\n" + BLOCK * (2000 // BLOCK.count("\n"))
    source = Source("Dockerfile", text)

    def best(run: Callable[[], object]) -> float:
        seconds = []
        for _ in range(5):
            start = time.process_time()
            run()
            seconds.append(time.process_time() - start)
        return min(seconds)

    assert best(lambda: parse(source)) < 3 * best(lambda: theirs(text)) + 0.1


BLOCK = """\
RUN apk add --no-cache curl git \\
    bash
COPY --from=base --chown=a:b src/ /dst/
ENV A=b C="d e"
WORKDIR /app
ARG X=1
CMD ["a","b"]
# comment
LABEL a=b
EXPOSE 80 90
"""
