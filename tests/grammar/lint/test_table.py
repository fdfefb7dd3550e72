"""The table of rules: complete, and in step with modules, fixtures and pages."""

import re
from pathlib import Path

import pytest

from grammar.lint import rules
from grammar.lint.table import RULES

CHAPTER_15 = """
StageNameCasing FromAsCasing NoEmptyContinuation ConsistentInstructionCasing DuplicateStageName
ReservedStageName JSONArgsRecommended MaintainerDeprecated UndefinedArgInFrom
InvalidDefaultArgInFrom WorkdirRelativePath UndefinedVar MultipleInstructionsDisallowed
LegacyKeyValueFormat InvalidBaseImagePlatform RedundantTargetPlatform
FromPlatformFlagConstDisallowed SecretsUsedInArgOrEnv CopyIgnoredFile InvalidDefinitionDescription
ExposeProtoCasing ExposeInvalidFormat
"""
"""The rules of BuildKit, as docs/lint/ lists them."""

FOUND_ELSEWHERE = {
    "CopyIgnoredFile", "InvalidBaseImagePlatform", "UnconsumedBuildArg", "UndefinedVar",
    "UnknownRule", "WildcardMatchesNothing",
}  # fmt: skip
"""Rules that need a base image, the context, the command line, or the settings themselves."""

LINT = Path("fixtures/lint")
PAGES = Path("docs/lint")


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def test_the_rules_of_the_reference_are_all_there_and_marked() -> None:
    assert [rule.name for rule in RULES.values() if rule.kind == "reference"] == CHAPTER_15.split()


def test_only_one_rule_is_experimental() -> None:
    experimental = [rule.name for rule in RULES.values() if rule.experimental]
    assert experimental == ["InvalidDefinitionDescription"]


def test_every_module_is_a_rule_of_the_table() -> None:
    modules = {path.stem for path in Path(rules.__path__[0]).glob("*.py")} - {"__init__"}
    assert modules == {snake(name) for name in RULES}


def test_rules_without_a_check_are_found_by_somebody_else() -> None:
    assert {rule.name for rule in RULES.values() if rule.check is None} == FOUND_ELSEWHERE


def test_a_reference_rule_links_to_its_page_of_docker() -> None:
    assert RULES["JSONArgsRecommended"].url == (
        "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    )
    assert RULES["UndefinedArgInFrom"].url.endswith("/rule/undefined-arg-in-from/")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_page_that_shows_its_fixtures(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# {name}\n")
    if RULES[name].kind != "reference":
        assert RULES[name].url == ""
    blocks = re.findall(r"^## (Bad|Good)\n\n```dockerfile\n(.*?)^```$", page, re.M | re.S)
    assert blocks == [
        ("Bad", (LINT / name / "bad.Dockerfile").read_text("utf-8")),
        ("Good", (LINT / name / "good.Dockerfile").read_text("utf-8")),
    ]
    assert ("`--fix`" in page) == (LINT / name / "fixed.Dockerfile").exists()


def test_the_overview_lists_every_rule_with_its_kind() -> None:
    overview = (PAGES / "README.md").read_text("utf-8")
    for rule in RULES.values():
        row = re.search(
            rf"^\| \[{rule.name}\]\({rule.name}\.md\) \| .* \| (.*) \|$", overview, re.M
        )
        assert row is not None, rule.name
        kinds = row[1].split(", ")
        assert kinds[0] == rule.kind
        assert ("experimental" in kinds) == rule.experimental
        assert ("fix" in kinds) == (LINT / rule.name / "fixed.Dockerfile").exists()
