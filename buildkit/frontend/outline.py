"""What a Dockerfile offers: its targets, and what a target can be given.

In: a Dockerfile and options. Out: stages with their descriptions; for the target, the arguments,
secrets, agents and caches that its stages name. No image is needed, nothing is lowered. A comment
`# name text` above an ARG or FROM is the description of `name`. Document: docs/dockerfile.md,
chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from buildkit.frontend.bases import FromStage
from buildkit.frontend.build_args import global_scope, platform_args
from buildkit.frontend.expander import Expander, at
from buildkit.frontend.options import LowerOptions
from buildkit.frontend.reach import reach
from buildkit.frontend.stages import Stages, plan_stages
from grammar import words
from grammar.errors import GrammarError
from grammar.flags import CacheMount, SecretMount, SshMount, parse_run_mount
from grammar.instructions import Arg, Argument, Dockerfile, Env, Run, description
from grammar.source import Span
from runtime.values import NamedTuple


class Target(NamedTuple):
    """A stage. `name` is empty if it has none, `base` and `platform` are as written."""

    name: str
    number: int
    description: str
    base: str
    platform: str
    default: bool
    span: Span


class Offered(NamedTuple):
    """Something to give to a build: `value` is what it is now, `required` that it must be given."""

    name: str
    description: str
    value: str | None
    required: bool
    span: Span


class Outline(NamedTuple):
    """What the target takes, each in order of the file and by name but once."""

    target: Target
    arguments: tuple[Offered, ...]
    secrets: tuple[Offered, ...]
    ssh: tuple[Offered, ...]
    caches: tuple[Offered, ...]


def targets(dockerfile: Dockerfile) -> tuple[Target, ...]:
    """Return all stages; the last one is the default."""
    last = len(dockerfile.stages) - 1
    found = []
    for stage in dockerfile.stages:
        base = stage.base
        name = base.alias.text if base.alias else ""
        found.append(
            Target(
                name=stage.name or "",
                number=stage.number,
                description=(description(base.comments, name) if name else None) or "",
                base=base.image.text,
                platform=base.platform.text if base.platform else "",
                default=stage.number == last,
                span=base.span,
            )
        )
    return tuple(found)


def outline(dockerfile: Dockerfile, options: LowerOptions) -> Outline:
    """Return what the target of `options` takes. Raises DefinitionError."""
    scope = global_scope(dockerfile, options)
    stages = plan_stages(dockerfile, scope, options)
    needed = reach(stages, {}, options).numbers
    found = _Found(dockerfile, options, scope)
    found.globals(stages, needed)
    for number in needed:
        found.stage(stages, number)
    return Outline(
        target=targets(dockerfile)[stages.target],
        arguments=_once(found.arguments),
        secrets=_once(found.secrets),
        ssh=_once(found.ssh),
        caches=_once(found.caches),
    )


class _Found:
    """Collects, stage by stage."""

    def __init__(
        self, dockerfile: Dockerfile, options: LowerOptions, scope: Mapping[str, str]
    ) -> None:
        self.arguments: list[Offered] = []
        self.secrets: list[Offered] = []
        self.ssh: list[Offered] = []
        self.caches: list[Offered] = []
        self._dockerfile = dockerfile
        self._given = options.build_args
        self._scope = scope
        self._predefined = platform_args(options).keys()
        self._env: dict[int, dict[str, str]] = {}

    def globals(self, stages: Stages, needed: Iterable[int]) -> None:
        """Note the arguments before the first FROM that the needed stages use."""
        used: set[str] = set()
        for number in needed:
            stage = stages.plans[number].stage
            for word in (stage.base.image, stage.base.platform):
                used |= set() if word is None else self._used(word.text)
            for instruction in stage.instructions:
                if isinstance(instruction, Arg):
                    used.update(argument.name.text for argument in instruction.arguments)
        found: list[Offered] = []
        for arg in reversed(self._dockerfile.global_args):
            for argument in reversed(arg.arguments):
                if argument.name.text in used:
                    used |= self._used(argument.default.text) if argument.default else set()
                    found.append(_offered(arg, argument, self._scope.get(argument.name.text)))
        self.arguments += reversed(found)

    def stage(self, stages: Stages, number: int) -> None:
        """Note what stage `number` names."""
        plan = stages.plans[number]
        base = plan.base
        env = dict(self._env[base.number]) if isinstance(base, FromStage) else {}
        for instruction in () if plan.replaced else plan.stage.instructions:
            expander = Expander(
                env, self._dockerfile.escape, declared=env, span=instruction.span, findings=[]
            )
            if isinstance(instruction, Arg):
                self._declare(instruction, env, expander)
            elif isinstance(instruction, Env):
                env.update(
                    [
                        (expander.text(pair.key.text), expander.text(pair.value.text))
                        for pair in instruction.pairs
                    ]
                )
            elif isinstance(instruction, Run):
                self._mounts(instruction, expander)
        self._env[number] = env

    def _declare(self, arg: Arg, env: dict[str, str], expander: Expander) -> None:
        for argument in arg.arguments:
            name = expander.text(argument.name.text)
            value = self._given.get(name)
            if value is None and argument.default is not None:
                value = expander.text(argument.default.text)
            elif value is None:
                value = self._scope.get(name)
            if value is not None:
                env[name] = value
            if name not in self._predefined or argument.default is not None:
                self.arguments.append(_offered(arg, argument, value))

    def _mounts(self, run: Run, expander: Expander) -> None:
        for word in run.mounts:
            with at(run.span):
                mount = parse_run_mount(word.text, word.span, expander.text)
            match mount:
                case SecretMount(id=name, required=required):
                    self.secrets.append(Offered(name, "", None, required, run.span))
                case SshMount(id=name, required=required):
                    self.ssh.append(Offered(name, "", None, required, run.span))
                case CacheMount(id=name):
                    self.caches.append(Offered(name, "", None, required=False, span=run.span))
                case _:
                    pass

    def _used(self, word: str) -> frozenset[str]:
        try:
            return words.expand(word, self._scope, self._dockerfile.escape).used
        except GrammarError:
            return frozenset()


def _offered(arg: Arg, argument: Argument, value: str | None) -> Offered:
    name = argument.name.text
    return Offered(
        name=name,
        description=description(arg.comments, name) or "",
        value=value,
        required=False,
        span=arg.span,
    )


def _once(found: Iterable[Offered]) -> tuple[Offered, ...]:
    """Return one of each name: the first, with what later ones add to it."""
    merged: dict[str, Offered] = {}
    for one in found:
        known = merged.setdefault(one.name, one)
        merged[one.name] = known._replace(
            description=known.description or one.description,
            value=one.value if known.value is None else known.value,
            required=known.required or one.required,
        )
    return tuple(merged.values())
