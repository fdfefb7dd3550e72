"""UnusedArg: an ARG that nothing can use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar.instructions import Arg, Dockerfile, Instruction, Run
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import PLATFORM_ARGS, parents

_PREFIXES = ("BUILDKIT_", "SOURCE_DATE_EPOCH")
"""Arguments that the builder reads itself."""

_PROXIES = frozenset(("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"))
_USE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at global ARGs that no FROM and no stage takes up, and at ARGs of stages."""
    yield from _unused_globals(dockerfile)
    yield from _unused_in_stages(dockerfile)


def _unused_globals(dockerfile: Dockerfile) -> Iterator[Finding]:
    used: set[str] = set()
    for arg in dockerfile.global_args:
        used |= _mentioned(arg)
    for stage in dockerfile.stages:
        used |= _mentioned(stage.base)
        for instruction in stage.instructions:
            if isinstance(instruction, Arg):
                used.update(argument.name.text for argument in instruction.arguments)
            elif "ARG" in instruction.original.upper():  # within ONBUILD
                used.update(re.findall(r"\w+", instruction.original))
    for arg in dockerfile.global_args:
        yield from _findings(arg, used)


def _unused_in_stages(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Report what no later instruction mentions; any RUN may read it from its environment."""
    bases = parents(dockerfile)
    following: dict[int, set[str] | None] = {}
    for stage in reversed(dockerfile.stages):
        # None stands for all names: there is a RUN.
        used: set[str] | None = following.get(stage.number, set())
        found: list[Finding] = []
        for instruction in reversed(stage.instructions):
            if isinstance(instruction, Arg) and used is not None:
                found += _findings(instruction, used)
            if isinstance(instruction, Run):
                used = None
            elif used is not None:
                used = used | _mentioned(instruction)
        base = bases[stage.number]
        if base is not None:
            known = following.get(base, set())
            following[base] = None if used is None or known is None else known | used
        yield from found


def _findings(arg: Arg, used: set[str]) -> Iterator[Finding]:
    for argument in arg.arguments:
        name = argument.name.text
        is_read = name in PLATFORM_ARGS or name.startswith(_PREFIXES) or name.lower() in _PROXIES
        if not is_read and name not in used:
            yield RULE.finding(f"Nothing uses ARG '{name}'", arg.span, argument.name.span)


def _mentioned(instruction: Instruction) -> set[str]:
    """Return the variables in the text of `instruction`, its heredocs included."""
    texts = [instruction.original]
    texts += (heredoc.content for heredoc in getattr(instruction, "heredocs", ()))
    return {name for text in texts for name in _USE.findall(text)}


RULE = Rule("UnusedArg", "An argument that is declared should be used", "advice", check)
