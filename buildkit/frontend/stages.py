"""The stages of a Dockerfile: what each starts from, and which of them a target needs.

In: a Dockerfile, the global scope, options. Out: `Stages`. Nothing is lowered here; a stage that
the target does not need is only looked at for mistakes in its names.
Document: docs/dockerfile.md, chapter 8 (FROM).
"""

from __future__ import annotations

from buildkit.errors import DefinitionError
from buildkit.frontend.bases import Names, Origin
from buildkit.frontend.expander import Expander
from buildkit.oci.platforms import Platform
from grammar import words
from grammar.errors import GrammarError, quote
from grammar.instructions import Copy, Dockerfile, Run, Stage, StageInstruction
from grammar.nearest import did_you_mean
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from buildkit.frontend.options import LowerOptions
    from grammar.source import Span


class StagePlan(NamedTuple):
    """A stage before it is lowered.

    `name` as step names show it: its own or `stage-N`. `platform` is what FROM asks for, None for
    the target's. `replaced`: a named context of its name stands in for the whole stage.
    """

    number: int
    name: str
    stage: Stage
    base_name: str
    base: Origin
    platform: Platform | None
    replaced: bool


class Use(NamedTuple):
    """A file system that an instruction names besides its parent; `target` is that of a mount."""

    name: str
    origin: Origin
    span: Span
    target: str | None


class Stages(NamedTuple):
    """All stages in order, what names mean, and which stage is asked for."""

    plans: tuple[StagePlan, ...]
    names: Names
    target: int


def plan_stages(dockerfile: Dockerfile, scope: Mapping[str, str], options: LowerOptions) -> Stages:
    """Return the stages of `dockerfile`. Raises DefinitionError."""
    names = Names(options, len(dockerfile.stages))
    plans: list[StagePlan] = []
    for stage in dockerfile.stages:
        try:
            plans.append(_plan(stage, dockerfile.escape, scope, names, options))
        except DefinitionError as error:
            error.hint = error.hint or _unset_hint(stage, dockerfile, scope)
            raise
        if stage.name is not None:
            names.add(stage.name, stage.number)
    return Stages(tuple(plans), names, _target(options.target, names, len(plans)))


def _plan(
    stage: Stage, escape: str, scope: Mapping[str, str], names: Names, options: LowerOptions
) -> StagePlan:
    base = stage.base
    expander = Expander(scope, escape, declared=scope, span=base.span, findings=[])
    name = expander.text(base.image.text)
    if not name:
        near = _near_variable(base.image.text, escape, scope)
        raise expander.error(f"base name ({base.image.text}) should not be blank{near}")
    platform = None
    if base.platform is not None:
        platform = _platform(base.platform.text, expander, escape, scope)
    wanted = platform or options.target_platform
    replacement = None if stage.name is None else names.context(stage.name, wanted)
    return StagePlan(
        number=stage.number,
        name=stage.name or f"stage-{stage.number}",
        stage=stage,
        base_name=name,
        base=replacement or names.base(name, wanted, base.span),
        platform=platform,
        replaced=replacement is not None,
    )


def _platform(written: str, expander: Expander, escape: str, scope: Mapping[str, str]) -> Platform:
    text = expander.text(written)
    near = _near_variable(written, escape, scope)
    if not text:
        raise expander.error(f"empty platform value from expression {written}{near}")
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise expander.error(f"failed to parse platform {written}: {error}{near}") from None


def _unset_hint(stage: Stage, dockerfile: Dockerfile, scope: Mapping[str, str]) -> str:
    """Return what to do about the first variable of a FROM line that has no value, or nothing."""
    base = stage.base
    written = [base.image.text, *([base.platform.text] if base.platform is not None else [])]
    unset = {name for word in written for name in _unset(word, dockerfile.escape, scope)}
    if not unset:
        return ""
    name = min(unset)
    declared = {one.name.text for arg in dockerfile.global_args for one in arg.arguments}
    if name in declared:
        return f"{name} has no value: give one with --build-arg {name}=VALUE or ARG {name}=VALUE"
    return f"{name} is not declared: FROM sees an ARG that stands before the first FROM"


def _unset(word: str, escape: str, scope: Mapping[str, str]) -> Iterable[str]:
    try:
        return words.expand(word, scope, escape).unset
    except GrammarError:
        return ()


def _near_variable(written: str, escape: str, scope: Mapping[str, str]) -> str:
    """Return ` (did you mean X?)` for the first unset variable in `written` that is near one."""
    unset = words.expand(written, scope, escape).unset
    for name in sorted(unset):
        if near := did_you_mean(name, scope):
            return near
    return ""


def _target(wanted: str, names: Names, stages: int) -> int:
    if not wanted:
        return stages - 1
    number = names.stage(wanted)
    digits = wanted.isascii() and wanted.isdecimal() and len(wanted) < 10
    if number is None and digits and int(wanted) < stages:
        number = int(wanted)
    if number is None:
        near = names.suggestion(wanted)
        raise DefinitionError(f"target stage {quote(wanted)} could not be found{near}")
    return number


def uses(
    instructions: Sequence[StageInstruction], names: Names, options: LowerOptions
) -> Iterator[Use]:
    """Yield the file systems that `instructions` name with `--from` or a mount's `from`."""
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.origin is not None:
            name = instruction.origin.text
            yield _use(name, instruction.span, None, names, options)
        elif isinstance(instruction, Run):
            for mount in instruction.mounts:
                name, target = _mount_origin(mount.text)
                if name:
                    yield _use(name, instruction.span, target, names, options)


def _use(name: str, span: Span, target: str | None, names: Names, options: LowerOptions) -> Use:
    origin = names.origin(name, options.target_platform, span)
    return Use(name=name, origin=origin, span=span, target=target)


def _mount_origin(text: str) -> tuple[str, str]:
    """Return `from` and `target` of a mount as they are written.

    `from` is never expanded, so what a stage depends on is known before any variable is. A cache
    mount without it starts from nothing; the other types have no files of somebody else's.
    """
    fields: dict[str, str] = {}
    for field in text.split(","):
        key, _, value = field.strip('"').partition("=")
        fields[key.lower()] = value
    kind = fields.get("type", "bind").lower()
    target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
    origin = fields.get("from", "")
    if kind in ("tmpfs", "secret", "ssh"):
        return "", target
    return origin or ("scratch" if kind == "cache" else ""), target
