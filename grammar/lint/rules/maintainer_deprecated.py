"""MaintainerDeprecated: MAINTAINER, for which there is a label today."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile, Maintainer
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything

LABEL = "org.opencontainers.image.authors"


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Report each MAINTAINER."""
    for instruction in everything(dockerfile):
        if isinstance(instruction, Maintainer):
            yield RULE.finding(
                "Maintainer instruction is deprecated in favor of using label",
                instruction.span,
                instruction.keyword.span,
                _edits(instruction, dockerfile.escape),
            )


def _edits(maintainer: Maintainer, escape: str) -> list[Edit]:
    """Return the label instead; variables were never expanded in a MAINTAINER."""
    author = maintainer.author
    if maintainer.span.line != maintainer.span.last_line:
        return []
    keyword = "label" if maintainer.keyword.text.islower() else "LABEL"
    special = ("$", '"', escape)
    text = "".join(f"{escape}{char}" if char in special else char for char in author.text)
    span = maintainer.keyword.span.to(author.span)
    return [Edit(span, f'{keyword} {LABEL}="{text}"')]


RULE = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "reference",
    check,
)
