"""UnusedStage: a stage that the last one does not need, in no way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar.instructions import Copy, Dockerfile, Onbuild, Run, Stage, description
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import parents

_FROM = re.compile(r"(?:^|[,\s\"]|--)from=([^,\s\"]+)", re.IGNORECASE)


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Report stages that no other one uses; a stage with a description is meant as a target."""
    stages = dockerfile.stages
    bases = parents(dockerfile)
    used = {base for base in bases if base is not None}
    numbers: dict[str, int] = {}
    for stage in stages:
        for name in _origins(stage):
            if (number := _number(name, numbers, len(stages))) is not None:
                used.add(number)
        if stage.name is not None:
            numbers[stage.name] = stage.number
    for stage in stages[:-1]:
        alias = stage.base.alias
        is_target = alias is not None and description(stage.base.comments, alias.text) is not None
        if stage.number not in used and not is_target:
            name = f"'{alias.text}'" if alias else f"number {stage.number}"
            yield RULE.finding(
                f"Stage {name} is not used by the stages behind it",
                stage.base.span,
                alias.span if alias else None,
            )


def _origins(stage: Stage) -> Iterator[str]:
    """Yield the names in `--from` and in the `from` of mounts."""
    for instruction in stage.instructions:
        if isinstance(instruction, Copy) and instruction.origin is not None:
            yield instruction.origin.text
        elif isinstance(instruction, Run):
            for mount in instruction.mounts:
                yield from _FROM.findall(mount.text)
        elif isinstance(instruction, Onbuild):
            yield from _FROM.findall(instruction.trigger)


def _number(name: str, numbers: dict[str, int], stages: int) -> int | None:
    if name.isascii() and name.isdecimal() and len(name) < 6 and int(name) < stages:
        return int(name)
    return numbers.get(name.lower())


RULE = Rule("UnusedStage", "A stage that nothing uses is not built", "advice", check)
