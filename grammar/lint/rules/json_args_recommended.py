"""JSONArgsRecommended: CMD or ENTRYPOINT in shell form, where no SHELL says that it is wanted."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Cmd, Dockerfile, Entrypoint, ShellForm
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import walk


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at shell forms: a shell as process 1 passes no signals on."""
    for seen in walk(dockerfile):
        instruction = seen.instruction
        if not isinstance(instruction, Cmd | Entrypoint) or seen.shell is not None:
            continue
        if isinstance(instruction.command, ShellForm):
            yield RULE.finding(
                f"JSON arguments recommended for {instruction.keyword.text}"
                " to prevent unintended behavior related to OS signals",
                instruction.span,
                instruction.command.span,
            )


RULE = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to"
    " OS signals",
    "reference",
    check,
)
