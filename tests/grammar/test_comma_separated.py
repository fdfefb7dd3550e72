"""Records of comma-separated values. `RUN --mount` has more of them, in `test_flags.py`."""

import csv

import pytest

from grammar.comma_separated import split_record


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a", ["a"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""no""",""', ['say "no"', ""]),
        (" a, b ", [" a", " b "]),
    ],
)
def test_fields(text: str, fields: list[str]) -> None:
    assert split_record(text) == fields
    assert next(csv.reader([text])) == fields


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ('a,b"c"', 4, 'bare " in non-quoted field'),
        ('é,b"', 5, 'bare " in non-quoted field'),
        ('"a,b', 5, 'extraneous or missing " in quoted-field'),
        ('"a" ,b', 3, 'extraneous or missing " in quoted-field'),
    ],
)
def test_a_mistake_is_told_as_go_does(text: str, column: int, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"^parse error on line 1, column {column}: {problem}$"):
        split_record(text)


def test_there_is_at_least_one_field() -> None:
    with pytest.raises(ValueError, match=r"^EOF$"):
        split_record("")
