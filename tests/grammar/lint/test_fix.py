"""Repairs: edits where they belong, and nothing else changed."""

import pytest

from grammar.lint.finding import Edit, Finding
from grammar.lint.fix import repair, whole_line
from grammar.lint.rules.maintainer_deprecated import LABEL
from grammar.source import Span
from tests.grammar.lint.test_rules import findings

AT = Span("Dockerfile", 1, 0, 1, 1)


def edit(line: int, start: int, end: int, text: str) -> Edit:
    return Edit(Span("Dockerfile", line, start, end, line), text)


def finding(*edits: Edit) -> Finding:
    return Finding("Rule", "message", AT, edits=edits)


def test_edits_are_made_wherever_they_are() -> None:
    done = repair("ab\ncd\nef\n", [finding(edit(3, 0, 1, "X"), edit(1, 1, 2, "")), finding()])
    assert done.text == "a\ncd\nXf\n"
    assert len(done.findings) == 1


def test_a_finding_whose_edits_touch_others_waits() -> None:
    first, second = finding(edit(1, 0, 2, "X")), finding(edit(1, 2, 3, "Y"), edit(2, 0, 1, "Z"))
    assert repair("abc\nd\n", [first, second]) == ("Xc\nd\n", (first,))


def test_a_whole_line_goes_with_its_end() -> None:
    lines = "a\r\n\r\nb\r\nc"
    assert repair(lines, [finding(whole_line(AT._replace(line=2)))]).text == "a\r\nb\r\nc"
    assert repair(lines, [finding(whole_line(AT._replace(line=4)))]).text == "a\r\n\r\nb\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("FROM a:1 AS Base", "FROM a:1 AS base"),
        ("from a:1 AS b", "from a:1 as b"),
        ("FROM a:1\nenv a=b", "FROM a:1\nENV a=b"),
        ("FROM a:1\nRUN a \\\n\n \t\n  b", "FROM a:1\nRUN a \\\n  b"),
        ("FROM a:1\nENV a b", "FROM a:1\nENV a=b"),
        ("FROM a:1\nENV a b  c", 'FROM a:1\nENV a="b  c"'),
        ("FROM a:1\nENV a $b c", 'FROM a:1\nENV a="$b c"'),
        ("FROM a:1\nENV a 'b c'", "FROM a:1\nENV a='b c'"),
        ('FROM a:1\nENV a "b" c', 'FROM a:1\nENV a="b c"'),
        ("FROM a:1\nENV a 'b' c\"", "FROM a:1\nENV a 'b' c\""),
        ("FROM a:1\nENV a b\\ c", "FROM a:1\nENV a=b\\ c"),
        ("FROM a:1\nENV a b \\\n c", "FROM a:1\nENV a b \\\n c"),
        ("# escape=`\nFROM a:1\nENV a C:\\x y", '# escape=`\nFROM a:1\nENV a="C:\\x y"'),
        ("FROM --platform=$TARGETPLATFORM  a:1", "FROM a:1"),
        ("FROM a:1\nEXPOSE 1/TCP 2:3/UDP", "FROM a:1\nEXPOSE 1/tcp 2:3/udp"),
        ("FROM a:1\nEXPOSE 127.0.0.1:1:2", "FROM a:1\nEXPOSE 2"),
        ('FROM a:1\nMAINTAINER "B" $C', f'FROM a:1\nLABEL {LABEL}="\\"B\\" \\$C"'),
        ("FROM a:1\nCMD ['a', 'b',]", 'FROM a:1\nCMD ["a", "b"]'),
        ("FROM a:1\nCMD ['it', \"s\"]", "FROM a:1\nCMD ['it', \"s\"]"),
        ("FROM a:1\nCMD [a, b]", "FROM a:1\nCMD [a, b]"),
        ("FROM a:1\nCOPY a b /x", "FROM a:1\nCOPY a b /x/"),
        ("FROM a:1\nCOPY a b 'x'", "FROM a:1\nCOPY a b 'x'"),
        ('FROM a:1\nCOPY ["a", "b", "/x"]', 'FROM a:1\nCOPY ["a", "b", "/x"]'),
    ],
    ids=lambda text: text.replace("FROM a:1\n", ""),
)  # fmt: skip
def test_a_repair_is_made_only_if_it_means_the_same(before: str, after: str) -> None:
    assert repair(f"{before}\n", findings(f"{before}\n")).text == f"{after}\n"
