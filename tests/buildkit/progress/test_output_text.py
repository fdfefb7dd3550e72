import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.progress.output_text import output_line

RED = "\x1b[31m"

LINES: list[tuple[bytes, str]] = [
    (b"plain text", "plain text"),
    ("gr\u00fc\u00dfe \u2713".encode(), "gr\u00fc\u00dfe \u2713"),
    (b"a\tb", "a\tb"),
    (b"line\r", "line"),
    (b"10%\r50%\r100%", "100%"),
    (b"\x1b[31mred\x1b[0m", f"{RED}red\x1b[0m"),
    (b"\x1b[31mred", f"{RED}red\x1b[0m"),
    (b"\x1b]0;title\x07text", "text"),
    (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
    (b"\x1b]52;c;never ended", ""),
    (b"\x1bP+q544e\x1b\\text", "text"),
    (b"\x1b[2J\x1b[1;1Htext\x1b[K", "text"),
    (b"\x1b[?1049htext", "text"),
    (b"\x1bctext\x1b(B", "text"),
    (b"bell\x07 back\x08", "bell\\x07 back\\x08"),
    (b"\xff\xfe", "\\xff\\xfe"),
    ("\u202eevil".encode(), "\\u202eevil"),
    ("\x9b31mtext".encode(), "\\x9b31mtext"),
    (b"lone \x1b", "lone \\x1b"),
    (b"\x1b[31", "\\x1b[31"),
]


@pytest.mark.parametrize(("data", "text"), LINES)
def test_a_line_keeps_its_text_and_colours_and_nothing_that_moves(data: bytes, text: str) -> None:
    assert output_line(data, colours=True) == text


def test_colours_go_where_they_are_not_wanted() -> None:
    assert output_line(b"\x1b[31mred\x1b[0m \x1b]0;t\x07text", colours=False) == "red text"


@given(st.binary(max_size=60))
def test_whatever_comes_no_control_character_is_left(data: bytes) -> None:
    shown = output_line(data.replace(b"\n", b""), colours=False).replace("\t", "")
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in shown)


def test_time_grows_with_the_length_of_a_line() -> None:
    for piece in (b"\x1b]", b"\x1bP", b"\x1b[", b"\x1b[31", b"\x1b", b"\r"):
        assert len(output_line(piece * 100_000, colours=True)) < 2_000_000
