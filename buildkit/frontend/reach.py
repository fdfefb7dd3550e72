"""What a target needs: stages, and the images below them.

In: the planned stages, and the images that are known. Out: a `Reach`. ONBUILD triggers of a base
can name further stages and images, so what is needed grows as images become known; what no
target needs is never asked for. Document: docs/dockerfile.md, chapter 8 (FROM, ONBUILD).
"""

from __future__ import annotations

from buildkit.errors import DefinitionError
from buildkit.frontend.bases import BaseRequest, Bases, BaseUse, FromImage, FromStage
from buildkit.frontend.expander import lines_of
from buildkit.frontend.onbuild import triggers_of_image, triggers_of_stage
from buildkit.frontend.stages import StagePlan, Stages, Use, uses
from grammar.errors import quote
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildkit.frontend.options import LowerOptions
    from grammar.instructions import Trigger


class Reach(NamedTuple):
    """`numbers` of the stages that are needed, in file order; `triggers` that run in them.

    `used`, by number for all stages: the file systems they name besides their base.
    """

    numbers: tuple[int, ...]
    triggers: Mapping[int, tuple[Trigger, ...]]
    used: Sequence[tuple[Use, ...]]


def reach(stages: Stages, bases: Bases, options: LowerOptions) -> Reach:
    """Return what the target needs, as far as `bases` lets it be known. Raises DefinitionError."""
    used = [tuple(uses(plan.stage.instructions, stages.names, options)) for plan in stages.plans]
    triggers: dict[int, tuple[Trigger, ...]] = {}
    waiting = [stages.target]
    while waiting:
        number = waiting.pop()
        if number in triggers:
            continue
        plan = stages.plans[number]
        triggers[number] = _triggers(plan, stages, bases)
        used[number] = (*uses(triggers[number], stages.names, options), *used[number])
        if isinstance(plan.base, FromStage):
            waiting.append(plan.base.number)
        if not plan.replaced:
            waiting += [
                use.origin.number for use in used[number] if isinstance(use.origin, FromStage)
            ]
    _refuse_cycles(stages.plans, used)
    for number in triggers:
        if not stages.plans[number].replaced:
            _refuse_later_stages(stages.plans[number], used[number])
    return Reach(tuple(sorted(triggers)), triggers, used)


def _triggers(plan: StagePlan, stages: Stages, bases: Bases) -> tuple[Trigger, ...]:
    """Return what runs in a stage because its base says so."""
    span = plan.stage.base.span
    if isinstance(plan.base, FromStage):
        return triggers_of_stage(stages.plans[plan.base.number].stage.instructions, span)
    if isinstance(plan.base, FromImage) and not plan.replaced:
        image = bases.get(plan.base.request)
        if image is not None:
            return triggers_of_image(image.config.config.onbuild, span)
    return ()


def requests(stages: Stages, found: Reach) -> dict[BaseRequest, BaseUse]:
    """Return the images that the stages in `found` need, with where each is used first."""
    needed: dict[BaseRequest, BaseUse] = {}
    for number in found.numbers:
        plan = stages.plans[number]
        if isinstance(plan.base, FromImage):
            use = stages.names.use(plan.base_name, plan.stage.base.span)
            needed.setdefault(plan.base.request, use)
        for used in () if plan.replaced else found.used[number]:
            if isinstance(used.origin, FromImage):
                use = stages.names.use(used.name, used.span)
                needed.setdefault(used.origin.request, use)
    return needed


def shows_stage_names(found: Reach) -> bool:
    """Return whether step names begin with the stage's name.

    As in BuildKit: not if there is one stage, and nothing but it that a name stands for.
    """
    foreign = any(not isinstance(use.origin, FromStage) for stage in found.used for use in stage)
    return len(found.used) > 1 or foreign


def _refuse_cycles(plans: Sequence[StagePlan], used: Sequence[Sequence[Use]]) -> None:
    """Raise DefinitionError if stages copy or mount from each other in a circle."""
    finished: set[int] = set()
    for plan in plans:
        if plan.number in finished:
            continue
        # A depth-first walk without recursion: the path from `plan`, and what is left to follow.
        path = {plan.number: iter(used[plan.number])}
        while path:
            number, waiting = next(reversed(path.items()))
            use = next(waiting, None)
            if use is None:
                finished.add(number)
                del path[number]
            elif isinstance(use.origin, FromStage) and use.origin.number not in finished:
                if use.origin.number in path:
                    raise DefinitionError(
                        f"circular dependency detected on stage: {plan.name}",
                        lines=lines_of(use.span),
                    )
                path[use.origin.number] = iter(used[use.origin.number])


def _refuse_later_stages(plan: StagePlan, used: Sequence[Use]) -> None:
    """Raise DefinitionError if the stage uses one that comes behind it."""
    for use in used:
        if not isinstance(use.origin, FromStage) or use.origin.number < plan.number:
            continue
        if use.target is None:
            message = (
                f"cannot copy from stage {quote(use.name)}, it needs to be defined before "
                f"current stage {quote(plan.name)}"
            )
        else:
            message = (
                f"cannot mount from stage {quote(use.name)} to {quote(use.target)}, stage needs "
                "to be defined before current command"
            )
        raise DefinitionError(message, lines=lines_of(use.span))
