"""ChownDuplicatesLayer: chown or chmod of what was copied before stores all of it twice."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from grammar.instructions import Add, Copy, Dockerfile, Run
from grammar.lint.commands import Command, commands_of
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import known, walk

_FLAGS = {"chown": "--chown", "chmod": "--chmod"}


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look for such commands behind a COPY or ADD of the same files in the same stage."""
    copied: list[str] = []
    number = -1
    for seen in walk(dockerfile):
        if seen.stage.number != number:
            number, copied = seen.stage.number, []
        instruction = seen.instruction
        if isinstance(instruction, Copy | Add):
            place = known(instruction.destination.text, seen.env, dockerfile.escape)
            if place is not None and place.startswith("/"):
                copied.append(posixpath.normpath(place))
        elif isinstance(instruction, Run):
            for command in commands_of(seen):
                if target := _target(command, copied):
                    yield RULE.finding(
                        f"'{command.name} -R' of {target} stores the copied files a second time;"
                        f" use {_FLAGS[command.name]} of the instruction that copies them",
                        instruction.span,
                        instruction.command.span,
                    )
                    break


def _target(command: Command, copied: list[str]) -> str:
    """Return which argument of a recursive chown or chmod has copied files below it, or is one."""
    if command.name not in _FLAGS or not command.has("-R", "--recursive"):
        return ""
    for word in command.arguments[1:]:
        path = posixpath.normpath(word)
        inside = path.rstrip("/") + "/"
        if path.startswith("/") and any(
            f"{place}/".startswith(inside) or inside.startswith(f"{place}/") for place in copied
        ):
            return word
    return ""


RULE = Rule(
    "ChownDuplicatesLayer",
    "Changing owner or mode of copied files in a later step doubles their size",
    "advice",
    check,
)
