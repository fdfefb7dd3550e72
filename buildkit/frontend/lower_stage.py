"""Stages to vertices, one instruction after the other.

In: the stages that are needed, with the triggers that run in them. Out: a growing graph, and the
state in which the target's stage ends. Document: docs/dockerfile.md, chapters 8 to 10.
"""

from __future__ import annotations

from buildkit.errors import DefinitionError
from buildkit.frontend import history
from buildkit.frontend.bases import FromContext, FromImage, FromScratch, FromStage
from buildkit.frontend.expander import Expander, lines_of
from buildkit.frontend.findings import Finding, other_platform
from buildkit.frontend.lower_copy import lower_copy
from buildkit.frontend.lower_run import lower_run, read_mounts
from buildkit.frontend.origins import Origins, Place, whole_tree
from buildkit.frontend.reach import Reach, shows_stage_names
from buildkit.frontend.stage_state import StageState, absolute, apply
from buildkit.frontend.step_comments import MARK, wishes_of
from buildkit.frontend.step_names import (
    StepNames,
    command_text,
    steps_among,
    summary,
    with_keyword,
)
from buildkit.llb.op import MkdirOp
from buildkit.llb.wishes import NO_WISHES, Wishes
from grammar.flags import SecretMount
from grammar.instructions import (
    Add,
    Cmd,
    Copy,
    Entrypoint,
    ExecForm,
    Healthcheck,
    Run,
    Shell,
    StageInstruction,
    Volume,
    Workdir,
)
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildkit.frontend.options import LowerOptions
    from buildkit.frontend.stages import StagePlan, Stages
    from buildkit.llb.graph import Graph
    from buildkit.oci.platforms import Platform
    from grammar.source import Span


class _Step(NamedTuple):
    """What lowering an instruction needs besides the instruction and the state of its stage.

    `trigger`: it comes from ONBUILD.
    """

    expander: Expander
    names: StepNames
    place: Place
    trigger: bool


class StageLowering:
    """One walk through the stages that are needed, in the order of the file.

    `scope` is the global scope of arguments, `origins` the way to everything that is no stage.
    """

    def __init__(
        self,
        escape: str,
        options: LowerOptions,
        stages: Stages,
        found: Reach,
        scope: Mapping[str, str],
        origins: Origins,
    ) -> None:
        self.findings: list[Finding] = []
        self.warnings: list[str] = []
        self._origins = origins
        self._escape = escape
        self._options = options
        self._stages = stages
        self._found = found
        self._scope = scope
        self._states: dict[int, StageState] = {}
        self._shows_names = shows_stage_names(found)

    @property
    def graph(self) -> Graph:
        """All vertices of the stages that are lowered."""
        return self._origins.graph

    def lower(self) -> StageState:
        """Lower all that is needed; return the state in which the target's stage ends."""
        for number in self._found.numbers:
            state = self._stage(self._stages.plans[number])
            self._states[number] = state
            self._origins.stages[number] = state.vertex
        return self._states[self._stages.target]

    def _stage(self, plan: StagePlan) -> StageState:
        triggers = self._found.triggers[plan.number]
        own = () if plan.replaced else plan.stage.instructions
        pulls = isinstance(plan.base, FromImage | FromContext)
        names = StepNames(
            plan.name if self._shows_names else "",
            steps_among(triggers) + steps_among(own) + pulls,
            self._shown_platform(plan),
        )
        start = plan.stage.base.span
        state = self._begin(plan, names, Place(lines_of(start), plan.name))
        for trigger in triggers:
            self._instruction(trigger, state, names, plan, start, trigger=True)
        for instruction in own:
            self._instruction(instruction, state, names, plan, instruction.span, trigger=False)
        return state

    def _shown_platform(self, plan: StagePlan) -> Platform | None:
        """Return the platform that names of steps begin with, None where there is but one."""
        if not self._options.several:
            return None
        if isinstance(plan.base, FromStage):
            return self._states[plan.base.number].platform
        return plan.platform or self._options.target_platform

    def _begin(self, plan: StagePlan, names: StepNames, place: Place) -> StageState:
        """Return the state right behind FROM."""
        platform = plan.platform or self._options.target_platform
        match plan.base:
            case FromStage(number=number):
                return self._states[number].child()
            case FromScratch():
                return StageState(self._options.target_platform, None, None)
            case FromImage():
                return self._from_image(plan, plan.base, platform, names, place)
            case FromContext():
                return self._from_context(plan.base, platform, names, place)
            case _:
                assert_never(plan.base)

    def _from_image(
        self,
        plan: StagePlan,
        base: FromImage,
        platform: Platform,
        names: StepNames,
        place: Place,
    ) -> StageState:
        image = self._origins.resolved(base.request)
        label = names.next(f"FROM {image.reference}") if image.config.diff_ids else ""
        vertex = self._origins.image(base.request, image, label, place)
        found, wanted = image.config.platform, platform
        # A variant is no matter here: what of an index will do was chosen by it.
        if (found.os, found.architecture) != (wanted.os, wanted.architecture):
            span = plan.stage.base.span
            if self._options.several and found not in wanted.choices():
                # One of several would be called what it is not.
                raise DefinitionError(
                    f"{image.reference}: no match for platform {wanted}: the image is for {found}",
                    lines=lines_of(span),
                    hint=f"an index that has {wanted}, or FROM --platform=$BUILDPLATFORM, will do",
                )
            self.findings.append(other_platform(plan.base_name, str(found), str(wanted), span))
        return StageState(platform, image, vertex)

    def _from_context(
        self, base: FromContext, platform: Platform, names: StepNames, place: Place
    ) -> StageState:
        """Begin with all files of a named context, as one layer."""
        source = self._origins.of(base, place)
        text = f"FROM {base.name}"
        op, inputs = whole_tree(), (None, source.vertex)
        vertex = self._origins.step(op, inputs, names.next(text), place)
        state = StageState(platform, None, vertex)
        state.record(text, vertex)
        return state

    def _instruction(
        self,
        instruction: StageInstruction,
        state: StageState,
        names: StepNames,
        plan: StagePlan,
        span: Span,
        *,
        trigger: bool,
    ) -> None:
        """Let one instruction change `state`; mistakes in it are at `span`."""
        expander = Expander(
            state.env,
            self._escape,
            declared=state.arguments,
            span=span,
            findings=self.findings,
        )
        wishes = NO_WISHES if trigger else self._wishes(instruction)
        step = _Step(expander, names, Place(lines_of(span), plan.name, wishes), trigger)
        match instruction:
            case Run():
                self._run(instruction, state, step)
            case Copy() | Add():
                self._copy(instruction, state, step)
            case Workdir():
                self._workdir(instruction, state, step)
            case _:
                given = self._options.build_args
                apply(state, instruction, expander, scope=self._scope, given=given)
                step.names.follow(state.arguments)
        if _holds_nul(instruction):
            raise expander.error(
                f"{instruction.keyword.text} has a NUL character in it",
                hint="neither programs nor an image's configuration can hold one",
            )

    def _wishes(self, instruction: StageInstruction) -> Wishes:
        """Return what the comments above `instruction` want of it."""
        if not instruction.comments:
            return NO_WISHES
        wishes, problems = wishes_of(instruction.comments)
        if wishes != NO_WISHES and not steps_among((instruction,)):
            problems = [*problems, f"'# {MARK}' above an instruction that is no step has no effect"]
        line = instruction.span.line
        self.warnings += (f"line {line}: {problem}" for problem in problems)
        return wishes

    def _run(self, instruction: Run, state: StageState, step: _Step) -> None:
        mounts = read_mounts(instruction, step.expander)
        lowered = lower_run(
            instruction,
            mounts,
            state,
            step.expander,
            options=self._options,
            stages=self._stages,
            origins=self._origins,
            place=step.place,
        )
        secrets = [one.env for one in mounts if isinstance(one, SecretMount) and one.env]
        text = with_keyword(instruction.original, instruction.keyword.text)
        if instruction.script() is not None:
            text += summary(instruction.heredocs[0])
        text = command_text(text, state.env, self._escape, secrets)
        label = step.names.next(text, trigger=step.trigger)
        state.vertex = self._origins.step(lowered.op, lowered.inputs, label, step.place)
        state.record(lowered.created_by, state.vertex)

    def _copy(self, instruction: Copy | Add, state: StageState, step: _Step) -> None:
        text = with_keyword(instruction.original, instruction.keyword.text)
        label = step.names.next(step.expander.shown(text), trigger=step.trigger)
        origin = None
        if isinstance(instruction, Copy) and instruction.origin is not None:
            name, platform = instruction.origin.text, self._options.target_platform
            origin = self._stages.names.origin(name, platform, step.expander.span)
        lowered = lower_copy(
            instruction,
            state,
            step.expander,
            origin=origin,
            origins=self._origins,
            label=label,
            place=step.place,
        )
        state.vertex = self._origins.step(lowered.op, lowered.inputs, label, step.place)
        state.record(lowered.created_by, state.vertex)

    def _workdir(self, instruction: Workdir, state: StageState, step: _Step) -> None:
        """Change the working directory, which is made if it is not there; `/` always is."""
        written = step.expander.path(step.expander.text(instruction.path.text))
        path = state.working_dir = absolute(state.directory, written)
        created_by = history.value("WORKDIR", path)
        if path == "/":
            state.record(created_by)
            return
        text = with_keyword(instruction.original, instruction.keyword.text)
        label = step.names.next(step.expander.shown(text), trigger=step.trigger)
        op = MkdirOp(path, state.user)
        state.vertex = self._origins.step(op, (state.vertex,), label, step.place)
        state.record(created_by, state.vertex)


def _holds_nul(instruction: StageInstruction) -> bool:
    """Say whether there is a NUL character in `instruction`, heredocs aside."""
    if "\0" in instruction.original:
        return True
    if "\\u0000" not in instruction.original:
        return False
    match instruction:
        case (
            Run(command=ExecForm(args=args))
            | Cmd(command=ExecForm(args=args))
            | Entrypoint(command=ExecForm(args=args))
            | Healthcheck(command=ExecForm(args=args))
            | Shell(shell=args)
        ):
            return any("\0" in word for word in args)
        case Volume(paths=paths):
            return any("\0" in path.text for path in paths)
        case _:
            return False
