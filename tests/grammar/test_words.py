"""Expansion: the table in fixtures/expansion.tsv, the names it reports, its limits."""

import pathlib
import time

import pytest

from grammar.errors import ExpansionError
from grammar.source import Span
from grammar.words import MAX_DEPTH, expand, expand_body, expand_words, split

ROWS = [
    tuple(line.split("\t"))
    for line in pathlib.Path("fixtures/expansion.tsv").read_text("utf-8").splitlines()
    if not line.startswith("# ")
]


def environment(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(";") if pair)


@pytest.mark.parametrize(("escape", "word", "env", "expected"), ROWS)
def test_a_word_expands_as_the_table_says(escape: str, word: str, env: str, expected: str) -> None:
    try:
        result = expand(word, environment(env), escape).text
    except ExpansionError as error:
        assert error.message.startswith('failed to process "')
        result = "error: " + error.message.partition('": ')[2]
    assert result == expected


def test_unset_names_are_those_that_gave_nothing() -> None:
    word = "$a ${b} ${c:-x} ${d+$e} ${f#x} ${g/x/y} $h"
    found = expand(word, {"h": "1"})
    assert found.unset == {"a", "b", "f", "g"} | {"e"}
    assert found.used == set("abcdefgh")


def test_an_error_quotes_the_word_and_keeps_its_place() -> None:
    span = Span("Dockerfile", 3, 4, 9, 3)
    with pytest.raises(ExpansionError) as raised:
        expand('"$a\t', {}, span=span)
    assert raised.value.span == span
    assert raised.value.message == (
        'failed to process "\\"$a\\t": unexpected end of statement while looking for matching'
        " double-quote"
    )


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("a b", ("a", "b")),
        ("$two", ("1", "2")),
        ('"$two"', ("1 2",)),
        ("x$two", ("x1", "2")),
        ("$two'y z'", ("1", "2y z")),
        ("a\\ b", ("a b",)),
        ("$none", ()),
        ('"" a', ("a",)),
        ("${none:-8000 9000/udp}", ("8000", "9000/udp")),
        (" a\t b ", ("a", "b")),
    ],
)
def test_a_variable_may_bring_in_words(word: str, words: tuple[str, ...]) -> None:
    assert expand_words(word, {"two": "1 2"}) == words


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain\n", "plain\n"),
        ('it\'s "$v"\n', 'it\'s "x"\n'),
        ("\\$v ${v} ${u:-'d'}\n", "$v x 'd'\n"),
        ("a\\\\b\\n\n", "a\\bn\n"),
    ],
)
def test_quotes_are_data_in_a_heredoc(text: str, result: str) -> None:
    assert expand_body(text, {"v": "x"}).text == result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  a  b\t", ("a", "b")),
        ('A="x y" B=x\\ y', ('A="x y"', "B=x\\ y")),
        ("'a\\' b'", ("'a\\'", "b'")),
        ('"a\\" b"', ('"a\\" b"',)),
        ("a\\", ("a",)),
        ("\\", ()),
        ("''", ("''",)),
        ("a\u00a0b", ("a", "b")),
        ("a\x1cb", ("a\x1cb",)),
    ],
)
def test_text_splits_into_words_with_their_quotes_on(text: str, words: tuple[str, ...]) -> None:
    assert split(text) == words


def test_deep_nesting_is_refused_by_name() -> None:
    deep = "${a:-" * (MAX_DEPTH + 1)
    with pytest.raises(ExpansionError, match=f"nest deeper than {MAX_DEPTH} levels"):
        expand(deep + "}" * (MAX_DEPTH + 1), {})
    assert expand("${a:-" * MAX_DEPTH + "x" + "}" * MAX_DEPTH, {}).text == "x"


@pytest.mark.parametrize("word", ["$a" * 30_000, "${b//?/$a}", "${b//x/$a}"])
def test_no_word_grows_without_bound(word: str) -> None:
    with pytest.raises(ExpansionError, match="expands to more than"):
        expand(word, {"a": "y" * 1000, "b": "x" * 60_000})


@pytest.mark.parametrize("word", ["${v##" + "?" * 900 + "z}", "${v##*}" * 7000])
def test_no_word_matches_without_bound(word: str) -> None:
    with pytest.raises(ExpansionError, match="patterns that take too long"):
        expand(word, {"v": "y" * 100_000})


HUGE = 60_000


@pytest.mark.parametrize(
    "word",
    [
        "a" * HUGE,
        "\\a" * (HUGE // 2),
        "$" * HUGE,
        "$a" * (HUGE // 2),
        "'" * HUGE,
        '"' * HUGE,
        '"a\\' * (HUGE // 3),
        "${a:-" * (HUGE // 5),
        "${a" * (HUGE // 3),
        "${v//*/x}" * (HUGE // 9),
        "${v##" + "?*" * 500 + "}",
        "${v//" + "?" * 1000 + "z/}",
        "${v%" + "*a" * 500 + "}",
        "${v/" + "a*" * 500 + "b/}",
        "${v#" + "a" * HUGE + "}",
    ],
    ids=lambda word: word[:12],
)
def test_a_huge_word_takes_time_in_proportion(word: str) -> None:
    start = time.process_time()
    try:
        expand(word, {"v": "a" * HUGE})
        expand_words(word, {"v": "a" * HUGE})
    except ExpansionError:
        pass
    split(word)
    # Linear takes tens of milliseconds here, quadratic minutes.
    assert time.process_time() - start < 5
