"""Each rule by itself: `fixtures/lint/cases.txt` has what it finds and what not."""

import re
from pathlib import Path

import pytest

from grammar.lint.check import lint
from grammar.lint.finding import Finding
from grammar.lint.selection import selection_for
from grammar.parser import parse
from grammar.source import Source

CASES = re.findall(
    r"^--- (\w+): (.*)\n((?:.*\n)*?)=>(.*)$",
    Path("fixtures/lint/cases.txt").read_text("utf-8"),
    re.MULTILINE,
)


def findings(text: str) -> tuple[Finding, ...]:
    """Return what the rules find that need nothing but the file."""
    dockerfile = parse(Source("Dockerfile", text))
    return lint(dockerfile, selection_for(dockerfile))


@pytest.mark.parametrize(
    ("rule", "text", "lines"),
    [(rule, text, lines) for rule, _, text, lines in CASES],
    ids=[f"{rule}: {title}" for rule, title, _, _ in CASES],
)
def test_a_rule_finds_these_lines(rule: str, text: str, lines: str) -> None:
    found = [str(one.span.line) for one in findings(text) if one.rule == rule]
    assert found == lines.split()


def test_a_place_lies_where_the_finding_says() -> None:
    text = 'from a AS Base\nENV a b\nEXPOSE 1/TCP 2/udp 3/Tcp\nRUN a \\\n\n  | b\nCMD ["a",]\n'
    lines = text.splitlines()
    places = [
        (one.rule, lines[one.place.line - 1][one.place.start : one.place.end])
        for one in findings(text)
        if one.place is not None and one.place.line == one.place.last_line
    ]
    assert places == [
        ("StageNameCasing", "Base"),
        ("FromAsCasing", "AS"),
        ("ConsistentInstructionCasing", "from"),
        ("UnpinnedBase", "a"),
        ("LegacyKeyValueFormat", "a b"),
        ("ExposeProtoCasing", "1/TCP"),
        ("ExposeProtoCasing", "3/Tcp"),
        ("JSONArgsRecommended", '["a",]'),
        ("InvalidJSONForm", '["a",]'),
    ]
