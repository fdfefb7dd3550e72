"""MultipleInstructionsDisallowed: CMD, ENTRYPOINT or HEALTHCHECK twice in a stage."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Cmd, Dockerfile, Entrypoint, Healthcheck, name_of
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Report those that have no effect: all but the last one."""
    for stage in dockerfile.stages:
        before: dict[str, Cmd | Entrypoint | Healthcheck] = {}
        for instruction in stage.instructions:
            if not isinstance(instruction, Cmd | Entrypoint | Healthcheck):
                continue
            name = name_of(instruction)
            if name in before:
                yield RULE.finding(
                    f"Multiple {instruction.keyword.text} instructions should not be used in the"
                    " same stage because only the last one will be used",
                    before[name].span,
                )
            before[name] = instruction


RULE = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "reference",
    check,
)
