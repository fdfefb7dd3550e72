"""The last lines of a log."""

import pytest

from buildkit.cli.logs import last
from buildkit.errors import UsageError
from runtime.containerlog import Entry

ENTRIES = tuple(Entry("", 1, text) for text in (b"a\n", b"b", b"c\n", b"d\n", b"e"))


@pytest.mark.parametrize(
    ("tail", "text"),
    [("all", b"a\nbc\nd\ne"), ("9", b"a\nbc\nd\ne"), ("3", b"bc\nd\ne"), ("1", b"e"), ("0", b"")],
)
def test_a_line_may_be_several_entries(tail: str, text: bytes) -> None:
    assert b"".join(entry.text for entry in last(iter(ENTRIES), tail)) == text


@pytest.mark.parametrize("tail", ["-2", "x", "²", ""])
def test_what_is_no_number_of_lines(tail: str) -> None:
    with pytest.raises(UsageError, match="invalid value for --tail"):
        list(last(iter(ENTRIES), tail))
