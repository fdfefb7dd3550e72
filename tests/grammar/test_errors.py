"""How errors are shown; the whole pictures are in fixtures/invalid."""

import pytest

from grammar.errors import DockerfileError, ExpansionError, GrammarError, quote, visible
from grammar.source import Source, Span

SOURCE = Source("Dockerfile", "FROM a\nENV b=$c\nRUN \\\n  d\n")


def test_an_error_without_a_place_is_its_message_and_hint() -> None:
    error = GrammarError("nothing there", hint="look elsewhere")
    assert error.render(SOURCE) == "nothing there\nhint: look elsewhere"


def test_only_errors_of_the_file_name_its_line_in_the_message() -> None:
    span = Span("Dockerfile", 2, 6, 8, 2)
    assert str(DockerfileError("x", span=span)) == "dockerfile parse error on line 2: x"
    assert str(ExpansionError("x", span=span)) == "x"


def test_a_place_is_only_set_once() -> None:
    first, second = Span("Dockerfile", 1, 0, 1, 1), Span("Dockerfile", 2, 0, 1, 2)
    error = ExpansionError("x", hint="h").at(first).at(second).within(second).within(first)
    assert (error.span, error.whole, error.line, error.hint) == (first, second, 2, "h")
    assert isinstance(error, ExpansionError)


def test_the_instruction_is_marked_and_the_word_underlined() -> None:
    error = ExpansionError("x", span=Span("Dockerfile", 4, 2, 3, 4))
    assert error.within(Span("Dockerfile", 3, 0, 3, 4)).render(SOURCE) == "\n".join(
        (
            "Dockerfile:3",
            "--------------------",
            "   1 |     FROM a",
            "   2 |     ENV b=$c",
            "   3 | >>> RUN \\",
            "   4 | >>>   d",
            "     |       ^",
            "--------------------",
            "x",
        )
    )


def test_a_place_outside_the_text_does_not_break_the_picture() -> None:
    assert "Dockerfile:9" in GrammarError("x", span=Span("Dockerfile", 9, 3, 5, 9)).render(SOURCE)
    assert "^" not in GrammarError("x", span=Span("Dockerfile", 1, 90, 99, 1)).render(SOURCE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日", "plain é 日"),
        ("\x1b[0m\x07\t\n\r\x00\x7f", "\\x1b[0m\\a\\t\\n\\r\\x00\\x7f"),
        ("\u202e\u2066\ufeff", "\\u202e\\u2066\\ufeff"),
        ("\x9b1m\U000e0001\ud800", "\\u009b1m\\U000e0001\\ud800"),
    ],
)
def test_what_could_move_the_cursor_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_quoting_is_that_of_go() -> None:
    assert quote('a"b\\c\n\u202e\x01é') == '"a\\"b\\\\c\\n\\u202e\\x01é"'
