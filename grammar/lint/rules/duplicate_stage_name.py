"""DuplicateStageName: two stages with one name, of which the later one wins."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.errors import quote
from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Report every stage but the first of its name."""
    names: set[str] = set()
    for stage in dockerfile.stages:
        if stage.name in names:
            yield RULE.finding(
                f"Duplicate stage name {quote(stage.name)}, stage names should be unique",
                stage.base.span,
                stage.base.alias.span if stage.base.alias else None,
            )
        if stage.name is not None:
            names.add(stage.name)


RULE = Rule("DuplicateStageName", "Stage names should be unique", "reference", check)
