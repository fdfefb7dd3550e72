"""FromAsCasing: `FROM … as` or `from … AS`."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Compare AS with a FROM that is wholly in one case."""
    for stage in dockerfile.stages:
        keyword, other = stage.base.keyword, stage.base.as_keyword
        if other is None or keyword.text not in (keyword.text.upper(), keyword.text.lower()):
            continue
        wanted = other.text.lower() if keyword.text.islower() else other.text.upper()
        if other.text != wanted:
            yield RULE.finding(
                f"'{other.text}' and '{keyword.text}' keywords' casing do not match",
                stage.base.span,
                other.span,
                [Edit(other.span, wanted)],
            )


RULE = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "reference",
    check,
)
