"""NoEmptyContinuation: an empty line where an instruction is continued."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.fix import whole_line
from grammar.lint.rule import Rule
from grammar.lint.walk import everything
from grammar.source import Span


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Report the first such line of each instruction."""
    blanks = iter(dockerfile.empty_continuations)
    blank = next(blanks, None)
    for instruction in everything(dockerfile):
        own: list[Span] = []
        while blank is not None and blank.line <= instruction.span.last_line:
            own.append(blank)
            blank = next(blanks, None)
        if own:
            yield RULE.finding("Empty continuation line", own[0], None, map(whole_line, own))


RULE = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "reference",
    check,
)
