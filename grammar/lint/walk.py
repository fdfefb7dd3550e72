"""Stages as lint walks through them: which builds on which, and what holds at an instruction.

In: a Dockerfile. Out: its instructions with what is known there from the file alone: variables,
shell, user. What a base image or the command line adds is not known here, so a rule that depends
on it stays silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grammar import words
from grammar.errors import GrammarError
from grammar.instructions import (
    Arg,
    Dockerfile,
    Env,
    Instruction,
    Shell,
    Stage,
    StageInstruction,
    User,
)
from runtime.values import NamedTuple

PLATFORM_ARGS = {
    "BUILDPLATFORM": "linux/amd64",
    "BUILDOS": "linux",
    "BUILDOSVERSION": "",
    "BUILDARCH": "amd64",
    "BUILDVARIANT": "",
    "TARGETPLATFORM": "linux/amd64",
    "TARGETOS": "linux",
    "TARGETOSVERSION": "",
    "TARGETARCH": "amd64",
    "TARGETVARIANT": "",
    "TARGETSTAGE": "default",
}
"""Arguments that are always there in the global scope, with values that they may have."""

DEFAULT_SHELL = ("/bin/sh", "-c")


class Seen(NamedTuple):
    """An instruction, and what holds right before it.

    `env` is good until the walk goes on. `shell` is None while no SHELL of the file sets it,
    `user` is empty while no USER does.
    """

    instruction: StageInstruction
    stage: Stage
    env: Mapping[str, str]
    shell: tuple[str, ...] | None
    user: str

    @property
    def is_posix(self) -> bool:
        """Whether a shell form goes to a shell with the syntax of sh."""
        shell = self.shell or DEFAULT_SHELL
        name = shell[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")
        return name in ("sh", "bash", "ash", "dash", "ksh", "zsh", "busybox")


class _State(NamedTuple):
    env: dict[str, str]
    shell: tuple[str, ...] | None
    user: str


def everything(dockerfile: Dockerfile) -> Iterator[Instruction]:
    """Yield all instructions in order of the file."""
    yield from dockerfile.global_args
    for stage in dockerfile.stages:
        yield stage.base
        yield from stage.instructions


def walk(dockerfile: Dockerfile) -> Iterator[Seen]:
    """Yield the instructions of all stages, but for FROM."""
    scope = global_scope(dockerfile)
    bases = parents(dockerfile)
    ends: list[_State] = []
    for stage, base in zip(dockerfile.stages, bases, strict=True):
        state = _State({}, None, "") if base is None else ends[base]
        state = state._replace(env=dict(state.env))
        for instruction in stage.instructions:
            yield Seen(instruction, stage, state.env, state.shell, state.user)
            state = _after(state, instruction, scope, dockerfile.escape)
        ends.append(state)


def _after(
    state: _State, instruction: StageInstruction, scope: Mapping[str, str], escape: str
) -> _State:
    """Return what holds behind `instruction`."""
    match instruction:
        case Shell():
            return state._replace(shell=instruction.shell)
        case User():
            return state._replace(user=known(instruction.user.text, state.env, escape) or "?")
        case Arg():
            _declare(state.env, instruction, scope, escape)
        case Env():
            values = [
                (pair.key.text, known(pair.value.text, state.env, escape))
                for pair in instruction.pairs
            ]
            for name, value in values:
                _set(state.env, name, value)
        case _:
            pass
    return state


def _declare(env: dict[str, str], arg: Arg, scope: Mapping[str, str], escape: str) -> None:
    for argument in arg.arguments:
        name = argument.name.text
        default = argument.default
        value = scope.get(name) if default is None else known(default.text, env, escape)
        if default is not None or value is not None:
            _set(env, name, value)


def _set(env: dict[str, str], name: str, value: str | None) -> None:
    if value is None:
        env.pop(name, None)
    else:
        env[name] = value


def known(word: str, env: Mapping[str, str], escape: str) -> str | None:
    """Return `word` expanded, None if it uses a variable that is not known, or makes no sense."""
    try:
        expansion = words.expand(word, env, escape)
    except GrammarError:
        return None
    return None if expansion.used - env.keys() else expansion.text


def global_scope(dockerfile: Dockerfile) -> dict[str, str]:
    """Return what FROM sees when no build argument is given: only ARGs that have a default."""
    scope = dict(PLATFORM_ARGS)
    for arg in dockerfile.global_args:
        for argument in arg.arguments:
            if argument.default is not None:
                try:
                    expansion = words.expand(argument.default.text, scope, dockerfile.escape)
                except GrammarError:
                    continue
                scope[argument.name.text] = expansion.text
    return scope


def parents(dockerfile: Dockerfile) -> list[int | None]:
    """Return, for each stage, the number of the earlier stage that it builds on."""
    scope = global_scope(dockerfile)
    numbers: dict[str, int] = {}
    found: list[int | None] = []
    for stage in dockerfile.stages:
        name = known(stage.base.image.text, scope, dockerfile.escape)
        found.append(None if name is None else numbers.get(name.lower()))
        if stage.name is not None:
            numbers[stage.name] = stage.number
    return found
