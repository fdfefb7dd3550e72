"""ReservedStageName: a stage called `scratch` or `context`, which mean something else."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.errors import quote
from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule

_RESERVED = ("scratch", "context")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the names of stages."""
    for stage in dockerfile.stages:
        if stage.name in _RESERVED:
            yield RULE.finding(
                f"Stage name should not use the same name as reserved stage {quote(stage.name)}",
                stage.base.span,
                stage.base.alias.span if stage.base.alias else None,
            )


RULE = Rule(
    "ReservedStageName", "Reserved words should not be used as stage names", "reference", check
)
