"""AptUpdateAlone: `apt-get update` in a step of its own, whose result the cache keeps for ever."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.commands import Command, commands_of
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import walk

_NAMES = ("apt", "apt-get", "aptitude")
_USES = ("install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep", "source", "download")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look for RUNs that update package lists and install nothing."""
    for seen in walk(dockerfile):
        found = [one for one in commands_of(seen) if one.name in _NAMES]
        updates = [one for one in found if _does(one, ("update",))]
        if updates and not any(_does(one, _USES) for one in found):
            yield RULE.finding(
                f"'{updates[0].name} update' in a step of its own: once cached, later steps"
                " install from old package lists",
                seen.instruction.span,
            )


def _does(command: Command, verbs: tuple[str, ...]) -> bool:
    return any(word in verbs for word in command.arguments)


RULE = Rule(
    "AptUpdateAlone",
    "Package lists should be updated in the step that installs",
    "advice",
    check,
)
