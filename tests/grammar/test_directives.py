"""Directives of all three kinds; which lines have them is in fixtures/dockerfiles/directive*."""

import pytest

from grammar.directives import CheckOptions, detect_syntax, parse_check, read_directives
from grammar.errors import DockerfileError
from grammar.source import Source


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("# syntax=a/b:1 --x y\nFROM c\n", "a/b:1 --x y"),
        ("#!/usr/bin/env build\n# syntax = a\n", "a"),
        ("// syntax=a\n", "a"),
        ("// escape=x\n//syntax=a\n", "a"),
        ('{"syntax": "a", "b": 1}\n', "a"),
        ('{"syntax": 1}', None),
        ('{"syntax": "a"', None),
        ("{" * 5000, None),
        ('["syntax"]', None),
        ("FROM a\n# syntax=b\n", None),
        ("\n# syntax=b\n", None),
        ("", None),
    ],
)
def test_the_frontend_is_found_in_any_language(text: str, syntax: str | None) -> None:
    assert detect_syntax(Source("x", text)) == syntax


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("", CheckOptions()),
        ("skip=A", CheckOptions(skip=("A",))),
        (" skip = A , B ; error = true ", CheckOptions(skip=("A", "B"), error=True)),
        ("skip=all;experimental=C;error=F", CheckOptions(("all",), ("C",), error=False)),
    ],
)
def test_check_has_three_settings(value: str, options: CheckOptions) -> None:
    assert parse_check(value) == options


@pytest.mark.parametrize(
    ("value", "name"), [("x", "x"), ("x=1", "x"), ("skip", "skip"), ("error=no", "error=no")]
)
def test_another_check_setting_is_refused(value: str, name: str) -> None:
    with pytest.raises(DockerfileError, match=f'^invalid check option "{name}"$'):
        parse_check(value)


def test_a_value_keeps_its_case_and_its_name_does_not() -> None:
    (found,) = read_directives(Source("x", "# SynTax=A/B\n"))
    assert (found.name, found.value) == ("syntax", "A/B")
