"""Nothing a text holds may raise anything but our errors, or take long.

`PYBUILD_FUZZ=10000` makes each test try that many texts.
"""

import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grammar.directives import detect_syntax, parse_check
from grammar.dump import dump
from grammar.errors import GrammarError
from grammar.flags import parse_run_mount
from grammar.parser import parse, parse_instruction
from grammar.source import Source, Span
from grammar.syntax import parse_syntax, to_json
from grammar.values import (
    parse_chmod,
    parse_duration,
    parse_integer,
    parse_port_spec,
    parse_signal,
    parse_size,
)
from grammar.words import expand, expand_body, expand_words
from tests.grammar.dockerfiles import KEYWORDS, files

EXAMPLES = int(os.environ.get("PYBUILD_FUZZ", "300"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
SPAN = Span("Dockerfile", 1, 0, 1, 1)

SHARP = (
    *"${}:-+?#%/*\\`'\"[],=<>@! \t\r\n\v\f\0\x1b\x85\xa0\u2028\ud800aé0日",
    *KEYWORDS, "${", "<<E\n", "<<-'E'", "\nE\n", "--", "type=", "target=", "# escape=`\n", "\\\n",
)  # fmt: skip
"""What means something somewhere."""


def sharp() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(SHARP), max_size=40).map("".join)


def texts() -> st.SearchStrategy[str]:
    return st.one_of(
        files(), sharp(), st.text(max_size=60), st.tuples(files(), sharp()).map("".join)
    )


@fuzzed
@given(texts())
def test_any_text_is_a_dockerfile_or_an_error_of_ours(text: str) -> None:
    source = Source("Dockerfile", text)
    detect_syntax(source)
    for read in (parse, parse_syntax):
        try:
            read(source)
        except GrammarError as error:
            shown = error.render(source)
            assert all(char.isprintable() or char in "\n\t" for char in shown)


@fuzzed
@given(st.binary(max_size=80))
def test_any_bytes_can_be_read(data: bytes) -> None:
    source = Source.decode("Dockerfile", data)
    try:
        assert dump(parse(source)).endswith("\n")
        to_json(parse_syntax(source))
    except GrammarError as error:
        error.render(source)


@fuzzed
@given(texts())
def test_what_parses_can_be_dumped_and_triggered(text: str) -> None:
    try:
        dockerfile = parse(Source("Dockerfile", "FROM a\n" + text))
    except GrammarError:
        return
    dump(dockerfile)
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            try:
                parse_instruction(instruction.original)
            except GrammarError:
                continue


@fuzzed
@given(sharp(), sharp(), st.sampled_from("\\`"))
def test_any_word_expands_or_says_why_not(word: str, value: str, escape: str) -> None:
    for expansion in (expand, expand_words, expand_body):
        try:
            expansion(word, {"a": value, "aé": "", "0": value}, escape)
        except GrammarError:
            continue


@fuzzed
@given(sharp())
def test_a_plain_quoted_word_expands_to_itself(word: str) -> None:
    if "'" not in word:
        assert expand(f"'{word}'", {}).text == word


@fuzzed
@given(st.one_of(sharp(), st.text(max_size=30)))
def test_any_value_is_read_or_refused(text: str) -> None:
    readers = (
        parse_chmod, parse_check, parse_duration, parse_integer, parse_port_spec, parse_signal,
        parse_size, lambda value: parse_run_mount(value, SPAN),
        lambda value: parse_run_mount(f"type=cache,target={value},uid={value}", SPAN),
    )  # fmt: skip
    for read in readers:
        try:
            read(text)
        except GrammarError as error:
            assert error.message


HUGE = 60_000


@pytest.mark.parametrize(
    "text",
    [
        "RUN " + "a" * HUGE,
        "RUN " + "<< " * (HUGE // 3),
        "RUN <<" + " " * HUGE,
        "RUN " + "<<a " * (HUGE // 4),
        "RUN " + "'" * HUGE + " <<",
        "COPY " + "a " * (HUGE // 2),
        "COPY " + "--a=b " * (HUGE // 6) + "c d",
        "COPY " + "<<a " * (HUGE // 4) + "/x\n" + "a\n" * (HUGE // 4),
        "ONBUILD COPY " + "<<a " * (HUGE // 4) + "/x\n" + "a\n" * (HUGE // 4),
        "ENV " + "a=b " * (HUGE // 4),
        "ENV " + "a" * HUGE + " b",
        "LABEL " + "a=" + "'" * HUGE,
        "ARG " + "=" * HUGE,
        "CMD " + "[" * HUGE,
        "CMD [" + '"a",' * (HUGE // 4) + '"b"]',
        "CMD [" + "1" * HUGE + "]",
        "CMD " + '["' + "\\" * HUGE,
        "EXPOSE " + "1 " * (HUGE // 2),
        "ONBUILD " * (HUGE // 8),
        "HEALTHCHECK --interval=" + "1s" * (HUGE // 2) + " CMD a",
        "HEALTHCHECK --interval=" + "1" * HUGE + "s CMD a",
        "RUN --mount=" + "a=b," * (HUGE // 4) + " c",
        "RUN a \\\n" * (HUGE // 8),
        "RUN a \\\n" + "\n" * HUGE,
        "#\n" * HUGE,
        " " * HUGE,
        "\\\n" * HUGE,
        "A" * HUGE,
        "USER a\n" * 5000,
    ],
    ids=lambda text: text[:14].strip().replace("\n", " "),
)
def test_a_huge_file_takes_time_in_proportion(text: str) -> None:
    source = Source("Dockerfile", f"FROM a\n{text}\n")
    start = time.process_time()
    for read in (parse, parse_syntax):
        try:
            read(source)
        except GrammarError as error:
            assert len(error.render(source)) < 20_000
    # Linear is well below a second, quadratic far above.
    assert time.process_time() - start < 8
