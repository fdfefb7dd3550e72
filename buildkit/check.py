"""A Dockerfile checked without building it.

In: its text, options, a context if there is one, and a way to find base images. Out: findings, and
the error that a build would end with before its first step. Images that are not there have
stand-ins, so nothing has to be pulled for a check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from buildkit.context.glob import has_wildcards
from buildkit.context.local import LocalContext
from buildkit.context.paths import native, within
from buildkit.context.tree import Tree
from buildkit.definition import lowered_with
from buildkit.errors import BuildError, DefinitionError
from buildkit.findings import CHECK_ARG
from buildkit.frontend.bases import BaseRequest, BaseUse, FromImage, FromStage
from buildkit.frontend.build_args import global_scope
from buildkit.frontend.findings import Finding
from buildkit.frontend.options import LowerOptions
from buildkit.frontend.reach import reach
from buildkit.frontend.remote import is_remote
from buildkit.frontend.stages import Stages, plan_stages
from buildkit.frontend.stand_in import is_known, stand_in
from buildkit.llb.op import CopyOp, CopySource
from buildkit.oci.config import ResolvedImage
from buildkit.ops.sources import find_roots
from grammar.errors import GrammarError
from grammar.instructions import Add, Copy, Dockerfile
from grammar.lint.check import lint
from grammar.lint.rules import copy_ignored_file, unconsumed_build_arg, wildcard_matches_nothing
from grammar.lint.selection import selection_for
from grammar.lint.walk import known, walk
from grammar.parser import parse
from grammar.source import Source
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Find: TypeAlias = Callable[[BaseRequest], ResolvedImage | None]
"""Returns the image that is asked for, None when it is not there."""


class Checked(NamedTuple):
    """`strangers`: base images that are not there and may set any variable."""

    source: Source
    findings: tuple[Finding, ...]
    strangers: tuple[str, ...]
    error: GrammarError | BuildError | None


class _Bases:
    """Resolves images, with stand-ins for what is not there."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.strangers: dict[str, None] = {}

    def resolve(self, wanted: BaseRequest, _use: BaseUse) -> ResolvedImage:
        found = self._find(wanted)
        if found is None and not is_known(wanted.reference):
            self.strangers[wanted.reference] = None
        return found or stand_in(wanted)


def check(
    source: Source, options: LowerOptions, context: LocalContext | None, find: Find
) -> Checked:
    """Return what is to be said about `source`. Raises ContextError."""
    try:
        dockerfile = parse(source)
        selection = selection_for(dockerfile, options.build_args.get(CHECK_ARG))
    except GrammarError as error:
        return Checked(source, (), (), error)
    bases = _Bases(find)
    others: list[Finding] = []
    failure: BuildError | None = None
    try:
        others += _from_lowering(dockerfile, options, bases)
    except DefinitionError as error:
        failure = error
    if context is not None:
        others += _from_context(dockerfile, context)
    return Checked(source, lint(dockerfile, selection, others), tuple(bases.strangers), failure)


def _from_lowering(
    dockerfile: Dockerfile, options: LowerOptions, bases: _Bases
) -> Iterator[Finding]:
    """Yield what the frontend finds; an error counts in what the target needs, and only there."""
    stages = plan_stages(dockerfile, global_scope(dockerfile, options), options)
    done: set[int] = set()
    others = () if options.target else reversed(range(len(stages.plans)))
    for number in (stages.target, *others):
        if number in done:
            continue
        target = stages._replace(target=number)
        try:
            done.update(reach(target, {}, options).numbers)
            wanted = options._replace(target=str(number))
            lowered = lowered_with(dockerfile, wanted, bases.resolve)
        except DefinitionError as error:
            if number == stages.target and not _is_guess(error, stages, bases):
                raise
            continue
        strange = _strange_stages(stages, bases)
        for finding in lowered.findings:
            if finding.rule != "UndefinedVar" or _stage(stages, finding.span.line) not in strange:
                yield finding
        if number == stages.target:
            for warning in lowered.warnings:
                yield unconsumed_build_arg.finding(dockerfile, warning)


def _strange_stages(stages: Stages, bases: _Bases) -> set[int]:
    """Return the stages whose variables nobody knows."""
    strange: set[int] = set()
    for plan in stages.plans:
        match plan.base:
            case FromImage(request=request) if request.reference in bases.strangers:
                strange.add(plan.number)
            case FromStage(number=number) if number in strange:
                strange.add(plan.number)
            case _:
                pass
    return strange


def _is_guess(error: DefinitionError, stages: Stages, bases: _Bases) -> bool:
    """Say whether an error may be there only because a base's variables are not known."""
    if error.lines is None:
        return False
    first = error.lines[0]
    number = _stage(stages, first)
    if number not in _strange_stages(stages, bases):
        return False
    own = stages.plans[number].stage.instructions
    return any("$" in one.original for one in own if one.span.line == first)


def _stage(stages: Stages, line: int) -> int:
    """Return the number of the stage that `line` is in, -1 before the first one."""
    return max(
        (plan.number for plan in stages.plans if plan.stage.base.span.line <= line), default=-1
    )


def _from_context(dockerfile: Dockerfile, context: LocalContext) -> Iterator[Finding]:
    """Yield what is wrong with the sources of COPY and ADD that come from the build context."""
    for seen in walk(dockerfile):
        instruction = seen.instruction
        if not isinstance(instruction, Copy | Add):
            continue
        if isinstance(instruction, Copy) and instruction.origin is not None:
            continue
        parents = isinstance(instruction, Copy) and instruction.parents
        for source in instruction.sources:
            path = known(source.text, seen.env, dockerfile.escape)
            if path is None or is_remote(path):
                continue
            if not has_wildcards(path):
                if _is_hidden(context, path):
                    yield copy_ignored_file.finding(instruction, source)
            elif not parents and _matches_nothing(context.tree, path):
                yield wildcard_matches_nothing.finding(instruction, source)


def _is_hidden(context: LocalContext, written: str) -> bool:
    """Say whether the ignore file hides a path and all that is below it."""
    path = within(native(written))
    state = context.patterns.state_of(path)
    return context.patterns.hides(state) and not context.patterns.may_match_below(path, state)


def _matches_nothing(tree: Tree, pattern: str) -> bool:
    op = CopyOp(
        sources=(CopySource(origin=1, path=pattern),),
        dest="/",
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=False,
    )
    try:
        return not find_roots(op, {1: tree})
    except DefinitionError:  # the pattern is none, which a build says
        return False
