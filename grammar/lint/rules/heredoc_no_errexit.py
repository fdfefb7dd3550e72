"""HeredocNoErrexit: a script in a heredoc goes on after a command that failed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar.instructions import Dockerfile, Run
from grammar.lint.commands import commands, is_shell
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import Seen, walk

_OPTION = re.compile(r"\s-[a-z]*e[a-z]*(?:\s|$)|-o\s*errexit")
_SET = re.compile(r"^\s*set\s+(?:-[a-z]*e|-o\s+errexit|.*\s-[a-z]*e[a-z]*\b|.*-o\s+errexit)", re.M)


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at RUNs that are nothing but a heredoc of several commands."""
    for seen in walk(dockerfile):
        if isinstance(seen.instruction, Run) and _goes_on(seen, seen.instruction):
            yield RULE.finding(
                "Heredoc goes on after a failed command, only the status of the last one counts;"
                " begin it with 'set -e'",
                seen.instruction.span,
                seen.instruction.heredocs[0].opener.span,
            )


def _goes_on(seen: Seen, run: Run) -> bool:
    script = run.script()
    if script is None:
        return False
    body = script.body()
    first, _, rest = body.partition("\n")
    if first.startswith("#!"):
        if not is_shell(first) or _OPTION.search(first):
            return False
        body = rest
    elif not seen.is_posix or _OPTION.search(f" {' '.join((seen.shell or ())[1:])} "):
        return False
    found = list(commands(body))
    several = any(one.before in ("\n", ";", "&") for one in found[1:])
    return several and not _SET.search(body)


RULE = Rule(
    "HeredocNoErrexit",
    "A heredoc of several commands does not stop at the first that fails",
    "trap",
    check,
)
