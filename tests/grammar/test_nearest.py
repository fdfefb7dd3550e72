"""Suggestions."""

import pytest

from grammar.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("written", "options", "found"),
    [
        ("FORM", ("FROM", "RUN"), "FROM"),
        ("form", ("FROM", "RUN"), "from"),
        ("Form", ("FROM", "RUN"), "FROM"),
        ("chwon", ("chmod", "chown"), "chown"),
        ("ab", ("abcde",), None),
        ("tset", ("test", "set"), "set"),
        ("FROM", ("FROM", "FORM"), None),
        ("from", ("FROM",), None),
        ("", ("ab",), "ab"),
    ],
)
def test_the_nearest_of_two_edits_or_fewer(
    written: str, options: tuple[str, ...], found: str | None
) -> None:
    assert nearest(written, options) == found


def test_case_may_count() -> None:
    assert nearest("from", ("FROM",), ignore_case=False) is None
    assert nearest("tesT", ("test",), ignore_case=False) == "test"


def test_the_suggestion_comes_in_brackets_or_not_at_all() -> None:
    assert did_you_mean("a", ("ab",)) == " (did you mean ab?)"
    assert did_you_mean("a", ("xyz",)) == ""
