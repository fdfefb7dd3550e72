"""Nothing a text holds may raise anything but our errors, or take long.

`--hypothesis-profile=long` makes each test try many more texts.
"""

from collections.abc import Callable

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
from tests.scaling import assert_in_proportion

EXAMPLES = 300
fuzzed = settings(
    max_examples=max(EXAMPLES, settings().max_examples),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
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
"""Characters, near the longest line that there may be."""


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "RUN " + "a" * size,
        lambda size: "RUN " + "<< " * (size // 3),
        lambda size: "RUN <<" + " " * size,
        lambda size: "RUN " + "<<a " * (size // 4),
        lambda size: "RUN " + "'" * size + " <<",
        lambda size: "COPY " + "a " * (size // 2),
        lambda size: "COPY " + "--a=b " * (size // 6) + "c d",
        lambda size: "COPY " + "<<a " * (size // 4) + "/x\n" + "a\n" * (size // 4),
        lambda size: "ONBUILD COPY " + "<<a " * (size // 4) + "/x\n" + "a\n" * (size // 4),
        lambda size: "ENV " + "a=b " * (size // 4),
        lambda size: "ENV " + "a" * size + " b",
        lambda size: "LABEL " + "a=" + "'" * size,
        lambda size: "ARG " + "=" * size,
        lambda size: "CMD " + "[" * size,
        lambda size: "CMD [" + '"a",' * (size // 4) + '"b"]',
        lambda size: "CMD [" + "1" * size + "]",
        lambda size: "CMD " + '["' + "\\" * size,
        lambda size: "EXPOSE " + "1 " * (size // 2),
        lambda size: "ONBUILD " * (size // 8),
        lambda size: "HEALTHCHECK --interval=" + "1s" * (size // 2) + " CMD a",
        lambda size: "HEALTHCHECK --interval=" + "1" * size + "s CMD a",
        lambda size: "RUN --mount=" + "a=b," * (size // 4) + " c",
        lambda size: "RUN a \\\n" * (size // 8),
        lambda size: "RUN a \\\n" + "\n" * size,
        lambda size: "#\n" * size,
        lambda size: " " * size,
        lambda size: "\\\n" * size,
        lambda size: "A" * size,
        lambda size: "USER a\n" * (size // 12),
    ],
    ids=lambda make: make(40)[:14].strip().replace("\n", " "),
)
def test_a_huge_file_takes_time_in_proportion(make: Callable[[int], str]) -> None:
    def read(size: int) -> None:
        source = Source("Dockerfile", f"FROM a\n{make(size)}\n")
        for parser in (parse, parse_syntax):
            try:
                parser(source)
            except GrammarError as error:
                assert len(error.render(source)) < 20_000

    assert_in_proportion(read, HUGE)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "$a" * (size // 2),
        lambda size: "${a:-b}" * (size // 7),
        lambda size: "${a#" + "b" * 900 + "}" + "c" * size,
        lambda size: "${b#*}" * (size // 6),
        lambda size: "${b//x/yy}" * (size // 10),
        lambda size: "${a:-" * 90 + "x" * size + "}" * 90,
        lambda size: '"' + "a b " * (size // 4) + '"',
        lambda size: "\\" * size,
        lambda size: "a " * (size // 2),
        lambda size: "${" * (size // 2),
        lambda size: "'a'" * (size // 3),
        lambda size: "$" * size,
    ],
    ids=lambda make: make(40)[:14],
)
def test_a_huge_word_takes_time_in_proportion(make: Callable[[int], str]) -> None:
    def run(size: int) -> None:
        for expansion in (expand, expand_words, expand_body):
            try:
                expansion(make(size), {"b": "xy"})
            except GrammarError as error:
                assert len(str(error)) < 2000

    assert_in_proportion(run, HUGE)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "type=cache,target=/" + "x" * size,
        lambda size: "type=cache,target=/x" + ",ro" * (size // 3),
        lambda size: "," * size,
        lambda size: '"type=cache",' * (size // 13) + '"target=/x"',
        lambda size: '"' + '""' * (size // 2) + '"',
        lambda size: "type=cache,target=" + "/../a" * (size // 5),
        lambda size: "type=cache,size=" + "1" * size,
        lambda size: "x" * size + "=1",
    ],
    ids=lambda make: make(40)[:20],
)
def test_a_huge_mount_takes_time_in_proportion(make: Callable[[int], str]) -> None:
    def run(size: int) -> None:
        try:
            parse_run_mount(make(size), SPAN)
        except GrammarError as error:
            assert len(str(error)) < 2000

    assert_in_proportion(run, HUGE)


@fuzzed
@given(
    st.lists(
        st.sampled_from(
            (
                "type",
                "target",
                "source",
                "from",
                "id",
                "ro",
                "rw",
                "mode",
                "uid",
                "gid",
                "size",
                "sharing",
                "env",
                "required",
                "=",
                "=",
                ",",
                ",",
                "cache",
                "bind",
                "tmpfs",
                "secret",
                "ssh",
                "/x",
                "..",
                "0",
                "0755",
                "64m",
                "true",
                "locked",
                '"',
                '""',
                "$V",
                " ",
                "é",
            )
        ),
        max_size=20,
    ).map("".join)
)
def test_any_mount_is_read_or_refused(text: str) -> None:
    try:
        mount = parse_run_mount(text, SPAN, expand=lambda word: expand(word, {"V": "w"}).text)
    except GrammarError as error:
        assert error.message
    else:
        assert mount.span == SPAN
