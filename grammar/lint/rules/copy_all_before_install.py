"""CopyAllBeforeInstall: any change of the context has dependencies installed anew."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Add, Copy, Dockerfile, Run
from grammar.lint.commands import Command, commands_of
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import walk

_INSTALLERS = {
    "apk": ("add",),
    "apt": ("install",),
    "apt-get": ("install",),
    "bundle": ("install",),
    "cargo": ("fetch",),
    "composer": ("install",),
    "dnf": ("install",),
    "go": ("mod",),
    "npm": ("ci", "i", "install"),
    "pip": ("install",),
    "pip3": ("install",),
    "pnpm": ("i", "install"),
    "poetry": ("install",),
    "uv": ("sync",),
    "yarn": ("", "install"),
    "yum": ("install",),
}
"""What a command is called, and the words by which it installs what others wrote."""

_OF_THE_CONTEXT = (".", "./", "-e", "--editable")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look for a COPY of the whole context with an installation behind it in the same stage."""
    copied: tuple[int, Copy | Add] | None = None
    for seen in walk(dockerfile):
        instruction, number = seen.instruction, seen.stage.number
        if isinstance(instruction, Copy | Add):
            if _copies_all(instruction) and (copied is None or copied[0] != number):
                copied = (number, instruction)
        elif isinstance(instruction, Run) and copied is not None and copied[0] == number:
            command = next((one for one in commands_of(seen) if _installs(one)), None)
            if command is not None:
                copy = copied[1]
                yield RULE.finding(
                    f"Everything is copied before '{' '.join(command.words[:2])}' on line"
                    f" {instruction.span.line}, which therefore runs again after any change",
                    copy.span,
                    copy.sources[0].span,
                )
                copied = (-1, copy)


def _copies_all(instruction: Copy | Add) -> bool:
    if isinstance(instruction, Copy) and instruction.origin is not None:
        return False
    return any(source.text in (".", "./", "/", "*") for source in instruction.sources)


def _installs(command: Command) -> bool:
    """Say whether `command` installs something besides the context itself."""
    if command.name not in _INSTALLERS:
        return False
    first = command.arguments[0] if command.arguments else ""
    if first not in _INSTALLERS[command.name]:
        return False
    return not any(word in _OF_THE_CONTEXT for word in command.words)


RULE = Rule(
    "CopyAllBeforeInstall",
    "Dependencies should be installed before the rest of the context is copied",
    "advice",
    check,
)
