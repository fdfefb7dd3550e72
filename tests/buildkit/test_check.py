"""Checks of whole fixtures, with what the rules need besides the file; errors; unknown bases.

`python -m tests.buildkit.test_check` writes what is found in `fixtures/lint/*/bad.Dockerfile`.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildkit.check import Checked, check
from buildkit.context.local import LocalContext
from buildkit.frontend.options import LowerOptions
from grammar.lint.fix import repair
from grammar.lint.table import RULES
from grammar.source import Source
from tests.buildkit.frontend.plans import AMD64, image

LINT = Path(__file__).parents[2] / "fixtures" / "lint"
ROUNDS = 5


def checked(
    text: str,
    *,
    context: Path | None = None,
    images: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Checked:
    """Check `text`, with images by canonical name as in `options.toml`."""
    known = images or {}
    opened = None if context is None else LocalContext.open(str(context))
    try:
        return check(
            Source("Dockerfile", text),
            LowerOptions(build_platform=AMD64, **options),
            opened,
            lambda one: image(*one, known[one.reference]) if one.reference in known else None,
        )
    finally:
        if opened is not None:
            opened.close()


def fixture(path: Path, text: str | None = None) -> Checked:
    """Check the file at `path` of a fixture, or `text` in its place."""
    given: dict[str, Any] = {}
    if (path.parent / "options.toml").exists():
        given = tomllib.loads((path.parent / "options.toml").read_text("utf-8"))
    context = path.parent / "context"
    if context.exists():
        given["context"] = context
    return checked(path.read_text("utf-8") if text is None else text, **given)


def shown(found: Checked) -> str:
    """Return findings as `findings.txt` has them."""
    lines = [f"{one.span.line}: {one.rule}: {one.message}\n" for one in found.findings]
    if found.error is not None:
        lines.append(f"error: {found.error}\n")
    return "".join(lines)


def repaired(path: Path) -> str:
    """Return the file at `path` with all repairs made."""
    text = path.read_text("utf-8")
    for _ in range(ROUNDS):
        text = repair(text, fixture(path, text).findings).text
    return text


@pytest.mark.parametrize("rule", RULES)
def test_a_bad_dockerfile_breaks_its_rule_and_no_other(rule: str) -> None:
    path = LINT / rule / "bad.Dockerfile"
    found = fixture(path)
    assert {one.rule for one in found.findings} == {rule}
    assert shown(found) == path.with_name("findings.txt").read_text("utf-8")


@pytest.mark.parametrize("rule", RULES)
def test_a_good_dockerfile_breaks_no_rule(rule: str) -> None:
    assert shown(fixture(LINT / rule / "good.Dockerfile")) == ""


@pytest.mark.parametrize(
    "path", sorted(LINT.glob("*/fixed.Dockerfile")), ids=lambda path: path.parent.name
)
def test_a_repair_leaves_nothing_of_its_rule(path: Path) -> None:
    text = repaired(path.with_name("bad.Dockerfile"))
    assert text == path.read_text("utf-8")
    assert not fixture(path).findings


def rules(found: Checked) -> list[str]:
    """Return the rules that are not about tags and unused stages."""
    return [one.rule for one in found.findings if RULES[one.rule].kind == "reference"]


def test_the_variables_of_official_images_are_known() -> None:
    text = "FROM golang:1\nWORKDIR $GOPATH\nCOPY $GOROOT/x /x\n"
    found = checked(text)
    assert rules(found) == ["UndefinedVar"]
    assert "'$GOROOT'" in found.findings[-1].message
    assert found.strangers == ()


def test_a_base_that_is_there_is_looked_into() -> None:
    images = {"docker.io/library/golang:1": {"env": ["GOROOT=/go"]}}
    found = checked("FROM golang:1\nWORKDIR $GOPATH\nCOPY $GOROOT/x /x\n", images=images)
    assert [one.span.line for one in found.findings] == [2]


def test_variables_of_a_stranger_are_not_judged_in_any_stage_built_on_it() -> None:
    text = "FROM mine AS one\nENV A=$x\nFROM one\nENV B=$y\nFROM alpine:3\nENV C=$z\n"
    found = checked(text)
    assert rules(found) == ["UndefinedVar"]
    assert found.findings[-1].span.line == 6
    assert found.strangers == ("docker.io/library/mine:latest",)


def test_an_error_that_a_strangers_variable_may_have_made_is_none() -> None:
    assert checked("FROM mine\nEXPOSE $PORT/tcp\n").error is None
    error = checked("FROM alpine:3\nEXPOSE $PORT/tcp\n").error
    assert str(error).startswith("invalid port: ")
    assert checked("FROM mine\nEXPOSE 80/x\n").error is not None


def test_all_stages_are_looked_at_unless_a_target_is_given() -> None:
    text = "FROM scratch AS one\nENV A=$x\nFROM scratch\nENV B=$y\n"
    assert rules(checked(text)) == ["UndefinedVar"] * 2
    assert rules(checked(text, target="one")) == ["UndefinedVar"]


def test_an_error_counts_only_in_what_the_target_needs() -> None:
    text = "FROM scratch AS one\nSTOPSIGNAL NONE\nFROM scratch\nENV B=$y\n"
    assert checked(text).error is None
    assert rules(checked(text)) == ["UndefinedVar"]
    assert str(checked(text, target="one").error) == "invalid signal: NONE"


def test_what_is_copied_from_elsewhere_is_no_matter_of_the_context(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*\n!kept/x\n")
    text = (
        "FROM scratch AS one\nFROM scratch\nCOPY --from=one a *.b /\n"
        "ADD https://example.com/a /\nCOPY kept . $unknown /\nADD lost /\n"
    )
    found = checked(text, context=tmp_path)
    ignored = [one for one in found.findings if one.rule == "CopyIgnoredFile"]
    assert [one.message for one in ignored] == [
        'Attempting to Add file "lost" that is excluded by .dockerignore'
    ]


def main() -> None:
    """Write what is found and what repairs make of it."""
    for path in LINT.glob("*/bad.Dockerfile"):
        path.with_name("findings.txt").write_text(shown(fixture(path)), "utf-8")
        text = repaired(path)
        if text != path.read_text("utf-8"):
            path.with_name("fixed.Dockerfile").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
