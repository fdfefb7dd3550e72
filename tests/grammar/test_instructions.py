"""What instructions say about themselves."""

import pytest

from grammar.instructions import description
from grammar.parser import parse_instruction
from grammar.source import Source, Span, Word

NOWHERE = Span("Dockerfile", 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("comments", "found"),
    [
        (("V the version",), "the version"),
        (("other", "V  two"), " two"),
        (("V",), None),
        (("VX y",), None),
        ((), None),
    ],
)
def test_a_comment_that_begins_with_the_name_describes_it(
    comments: tuple[str, ...], found: str | None
) -> None:
    assert description(tuple(Word(text, NOWHERE) for text in comments), "V") == found


def test_only_tabs_come_off_a_chomped_body() -> None:
    run = parse_instruction("RUN <<-E\n\t\ta\n\t b\n  c\x0b\td\n\n\tE")
    assert run.heredocs[0].body() == "a\n b\n  c\x0b\td\n\n"  # type: ignore[union-attr]


def test_a_span_reads_as_path_line_and_column() -> None:
    first, second = Span("a", 2, 3, 4, 2), Span("a", 5, 0, 7, 5)
    assert str(first) == "a:2:4"
    assert first.to(second) == Span("a", 2, 3, 7, 5)


def test_lines_have_no_ends() -> None:
    assert Source("a", "b\r\nc\n\nd").lines() == ["b", "c", "", "d"]
    assert Source("a", "").lines() == []
