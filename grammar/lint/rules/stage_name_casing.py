"""StageNameCasing: the name of a stage has upper-case letters."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the names behind AS; names are compared in lower case wherever they are used."""
    for stage in dockerfile.stages:
        alias = stage.base.alias
        if alias is not None and alias.text != alias.text.lower():
            yield RULE.finding(
                f"Stage name '{alias.text}' should be lowercase",
                stage.base.span,
                alias.span,
                [Edit(alias.span, alias.text.lower())],
            )


RULE = Rule("StageNameCasing", "Stage names should be lowercase", "reference", check)
