"""Which rules count: the directive, what overrides it, comments above instructions."""

import pytest

from grammar.errors import DockerfileError
from grammar.lint.check import lint, violated
from grammar.lint.selection import selection_for
from grammar.parser import parse
from grammar.source import Source

BODY = "FROM a:1 AS Base\nCMD a\nCMD b\n"


def names(text: str, override: str | None = None) -> list[str]:
    """Return the rules that are found, in order."""
    dockerfile = parse(Source("Dockerfile", text))
    found = lint(dockerfile, selection_for(dockerfile, override))
    return [f"{finding.span.line} {finding.rule}" for finding in found]


ALL = [
    "1 StageNameCasing",
    "2 JSONArgsRecommended",
    "2 MultipleInstructionsDisallowed",
    "3 JSONArgsRecommended",
]


def test_without_settings_all_rules_count_but_experimental_ones() -> None:
    assert names(BODY) == ALL


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("skip=all", []),
        ("skip=JSONArgsRecommended", [ALL[0], ALL[2]]),
        ("skip=JSONArgsRecommended, StageNameCasing", [ALL[2]]),
        ("error=true;skip=JSONArgsRecommended", [ALL[0], ALL[2]]),
        ("skip=jsonargsrecommended,UnknownRule", ALL),
        ("experimental=all", ALL),
    ],
)
def test_an_override_chooses(setting: str, found: list[str]) -> None:
    assert names(BODY, setting) == found


def test_the_directive_chooses_unless_it_is_overridden() -> None:
    text = f"# check=skip=all\n{BODY}"
    assert names(text) == []
    assert names(text, "") == [f"{int(one[0]) + 1}{one[1:]}" for one in ALL]


def test_experimental_rules_have_to_be_asked_for_and_skip_all_leaves_them() -> None:
    text = "\n# no description\nFROM a:1 AS b\n"
    assert names(text) == []
    expected = ["3 InvalidDefinitionDescription"]
    assert names(text, "experimental=InvalidDefinitionDescription") == expected
    assert names(text, "skip=all;experimental=all") == expected


def test_a_comment_directly_above_switches_rules_off_for_one_instruction() -> None:
    text = "FROM a:1\n# check=skip=JSONArgsRecommended\n# and why\nENTRYPOINT a\nENTRYPOINT b\n"
    assert names(text) == ["4 MultipleInstructionsDisallowed", "5 JSONArgsRecommended"]
    assert names(text.replace("JSONArgsRecommended", "all")) == ["5 JSONArgsRecommended"]


def test_a_comment_that_is_not_directly_above_switches_nothing_off() -> None:
    for between in ("\n", "#\n", "USER a\n"):
        text = f"FROM a:1\n# check=skip=JSONArgsRecommended\n{between}CMD a\n"
        assert names(text) == ["4 JSONArgsRecommended"]


def test_a_comment_counts_for_all_lines_of_its_instruction() -> None:
    text = "FROM a:1\n# Check = skip=NoEmptyContinuation\nRUN a \\\n\n  b\n"
    assert names(text) == []


@pytest.mark.parametrize("setting", ["foo", "foo=bar", "skip", "error=maybe"])
def test_a_setting_that_is_none_is_an_error_with_its_line(setting: str) -> None:
    name = setting.partition("=")[0] if setting.startswith("foo") else setting
    with pytest.raises(DockerfileError, match=f'line 1: invalid check option "{name}"'):
        names(f"# check={setting}\n{BODY}")


def test_what_a_build_fails_with_names_each_rule_once_in_order() -> None:
    dockerfile = parse(Source("Dockerfile", f"# check=error=true\n{BODY}RUN ['a', 'b']\n"))
    selection = selection_for(dockerfile)
    assert selection.error
    assert violated(lint(dockerfile, selection)) == (
        "lint violation found for rules: JSONArgsRecommended, MultipleInstructionsDisallowed,"
        " StageNameCasing"
    )
    assert violated([]) == ""
