"""PipeWithoutPipefail: of a pipe, only the last command's failure is noticed."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile, Run
from grammar.lint.commands import commands_of, script_of
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import walk


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look for pipes where neither SHELL nor the command asks for pipefail."""
    for seen in walk(dockerfile):
        run = seen.instruction
        if not isinstance(run, Run) or "pipefail" in " ".join(seen.shell or ()):
            continue
        found = commands_of(seen)
        if any(one.before in ("|", "|&") for one in found) and "pipefail" not in script_of(run):
            yield RULE.finding(
                "A failure before the last command of the pipe goes unnoticed without"
                " 'set -o pipefail'",
                run.span,
                run.command.span,
            )


RULE = Rule(
    "PipeWithoutPipefail",
    "The status of a pipe is that of its last command",
    "advice",
    check,
)
