"""Whole files: the golden trees and messages in fixtures/, and what one text has to become."""

import pathlib
import re

import pytest

from grammar import transform
from grammar.dump import dump
from grammar.errors import DockerfileError
from grammar.instructions import KEYWORDS, Copy, Env, Run, ShellForm, name_of
from grammar.lexer import _TOKENS
from grammar.parser import GRAMMAR, parse, parse_instruction
from grammar.source import Source

FIXTURES = pathlib.Path("fixtures")
DOCKERFILES = sorted(FIXTURES.glob("dockerfiles/*/Dockerfile"))
INVALID = sorted(FIXTURES.glob("invalid/*/Dockerfile"))


def read(path: pathlib.Path) -> Source:
    """Return the source of a fixture, which is called Dockerfile wherever it lies."""
    return Source.decode("Dockerfile", path.read_bytes())


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_becomes_its_tree(path: pathlib.Path) -> None:
    assert dump(parse(read(path))) == path.with_name("ast.txt").read_text("utf-8")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.parent.name)
def test_an_invalid_dockerfile_gets_its_message(path: pathlib.Path) -> None:
    source = read(path)
    with pytest.raises(DockerfileError) as raised:
        parse(source)
    assert raised.value.render(source) + "\n" == path.with_name("error.txt").read_text("utf-8")


def test_the_grammar_the_lexer_and_the_transformer_know_the_same_instructions() -> None:
    text = (pathlib.Path("grammar") / GRAMMAR).read_text("utf-8")
    rules = set(re.findall(r"^([a-z_]+):", text, re.MULTILINE))
    methods = {name for name in vars(transform.ToInstructions) if not name.startswith("_")}
    assert rules == methods
    assert {rule.rstrip("_").upper() for rule in rules} == set(KEYWORDS) == set(_TOKENS)


def test_every_character_of_a_word_lies_where_its_span_says() -> None:
    text = "FROM a\nRUN --mount=type=cache,target=/x \\\n  # no\n\n   echo  é\nCOPY x \\\n y z/\n"
    source = Source("Dockerfile", text)
    lines = source.lines()
    copy = parse(source).stages[0].instructions[1]
    assert isinstance(copy, Copy)
    for word in (*copy.sources, copy.destination, copy.keyword):
        span = word.span
        assert lines[span.line - 1][span.start : span.end] == word.text


def test_a_stage_has_the_name_of_its_alias_in_lower_case_and_a_number() -> None:
    stages = parse(Source("Dockerfile", "FROM a AS Big\nFROM b\n")).stages
    assert [(stage.name, stage.number) for stage in stages] == [("big", 0), (None, 1)]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_trigger_can_be_parsed_from_its_text_again(path: pathlib.Path) -> None:
    dockerfile = parse(read(path))
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            if name_of(instruction) != "ONBUILD":
                continue
            trigger = instruction.trigger  # type: ignore[union-attr]
            expected = instruction.instruction  # type: ignore[union-attr]
            if expected is None:
                with pytest.raises(DockerfileError):
                    parse_instruction(trigger)
            else:
                assert parse_instruction(trigger).original == expected.original


def test_a_trigger_brings_its_heredocs() -> None:
    run = parse_instruction("RUN cat <<-E\n\ta\nE")
    assert isinstance(run, Run)
    assert run.heredocs[0].body() == "a\n"


def test_a_trigger_uses_the_escape_token_it_is_given() -> None:
    env = parse_instruction("ENV a=b` c", escape="`")
    assert isinstance(env, Env)
    assert env.pairs[0].value.text == "b` c"


def test_a_comment_in_a_trigger_is_no_directive() -> None:
    run = parse_instruction("# escape=`\nRUN a`")
    assert isinstance(run, Run)
    assert run.command.text == "a`"  # type: ignore[union-attr]


def test_two_instructions_are_no_trigger() -> None:
    with pytest.raises(DockerfileError, match="line 2: not one instruction"):
        parse_instruction("RUN a\nRUN b")


def test_a_run_that_is_nothing_but_a_heredoc_is_a_script() -> None:
    script = parse_instruction("RUN --network=none <<E\na\nE")
    mixed = parse_instruction("RUN cat <<E\na\nE")
    assert isinstance(script, Run) and isinstance(mixed, Run)
    assert script.script() is script.heredocs[0]
    assert mixed.script() is None


def test_run_with_nothing_is_an_empty_shell_form() -> None:
    run = parse_instruction("RUN")
    assert isinstance(run, Run) and isinstance(run.command, ShellForm)
    assert run.command.text == ""
