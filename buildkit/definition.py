"""From the text of a Dockerfile to its graph, with the base images it turns out to need.

In: a parsed Dockerfile, options, and a function that finds images. Out: `Lowered`; and errors
with the lines of the Dockerfile they are about. Shared by all commands that read a Dockerfile.
"""

from __future__ import annotations

from buildkit.archive.remote import Pull, PullPolicy, obtain
from buildkit.errors import (
    BuildError,
    Cancelled,
    DefinitionError,
    ImageError,
    StepError,
    UsageError,
)
from buildkit.frontend.lower import Lowered, lower
from buildkit.registry.errors import RegistryError
from grammar.errors import GrammarError, excerpt
from grammar.instructions import Arg, Dockerfile
from grammar.source import Source, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from buildkit.archive.stores import Stores
    from buildkit.frontend.bases import BaseRequest, BaseUse
    from buildkit.frontend.options import LowerOptions
    from buildkit.oci.config import ResolvedImage
    from buildkit.progress.cancel import Cancel
    from buildkit.progress.events import Emit, Event
    from buildkit.solver.policy import CachePolicy


Resolve: TypeAlias = "Callable[[BaseRequest, BaseUse], ResolvedImage]"
"""Finds a base image, or raises DefinitionError."""

_LAYOUT = "oci-layout://"


def lowered_with(dockerfile: Dockerfile, options: LowerOptions, resolve: Resolve) -> Lowered:
    """Return the graph. Triggers of a base can ask for further bases: hence the loop."""
    bases: dict[BaseRequest, ResolvedImage] = {}
    while True:
        lowered = lower(dockerfile, options, bases)
        if isinstance(lowered, Lowered):
            return lowered
        for wanted, use in lowered.requests.items():
            bases[wanted] = resolve(wanted, use)


def resolver(
    stores: Stores,
    policy: PullPolicy,
    emit: Emit | None = None,
    cancel: Cancel | None = None,
    pull: Pull | None = None,
) -> Resolve:
    """Return what finds base images: in the local store, at a registry as `policy` says.

    `pull`: how to get one from there, None for the usual way.
    """

    def resolve(wanted: BaseRequest, use: BaseUse) -> ResolvedImage:
        if wanted.reference.startswith(_LAYOUT):
            from buildkit.archive.layouts import resolve_layout  # compression libraries

            try:
                return resolve_layout(
                    wanted.reference, wanted.platform, stores.root, stores.snapshots
                )
            except BuildError as error:
                error.lines = error.lines or use.lines
                raise
        tell = emit or _nobody
        try:
            return obtain(
                wanted.reference, wanted.platform, policy, stores, tell, cancel, pull=pull
            )
        except Cancelled:
            raise
        except (RegistryError, ImageError) as error:
            raise _unresolved(wanted, use, policy, error) from error

    return resolve


def _unresolved(
    wanted: BaseRequest, use: BaseUse, pull: PullPolicy, error: RegistryError | ImageError
) -> DefinitionError | StepError:
    """Return what to say of a base that is not to be had, at its place in the Dockerfile.

    A registry that fails for a while is no fault of the Dockerfile.
    """
    if isinstance(error, RegistryError) and error.temporary:
        return StepError(error.message, lines=use.lines, hint=error.hint)
    message = error.message
    if isinstance(error, ImageError) and pull == "never":
        message = f"{wanted.reference}: not found: no image of this name is in the local store"
    elif not message.startswith(wanted.reference):
        message = f"{wanted.reference}: not found in the local store, and {message}"
    return DefinitionError(message, lines=use.lines, hint=use.hint or error.hint)


def _nobody(_event: Event) -> None:
    return


def arguments(dockerfile: Dockerfile) -> frozenset[str]:
    """Return the names declared with ARG, which a miss calls by that word."""
    own = [arg for stage in dockerfile.stages for arg in stage.instructions if isinstance(arg, Arg)]
    return frozenset(
        one.name.text for arg in (*dockerfile.global_args, *own) for one in arg.arguments
    )


def check_policy(policy: CachePolicy, lowered: Lowered, dockerfile: Dockerfile) -> Lowered:
    """Return `lowered`, with a warning for each stage that the policy names and nobody has.

    Raises UsageError for a step that the policy names and the graph does not have.
    """
    for text in policy.unused(lowered.steps):
        raise UsageError(
            f"--no-cache-step {text}: no step of this build is called that",
            hint="name its line in the Dockerfile, or how it begins, as in 'RUN make'",
        )
    if not policy.stages:
        return lowered
    from grammar.nearest import did_you_mean  # for this option only

    known = {stage.name or f"stage-{stage.number}": None for stage in dockerfile.stages}
    strange = [name for name in sorted(policy.stages) if name.lower() not in known]
    warnings = (
        f"--no-cache-filter {name}: no stage is called that{did_you_mean(name, known)}"
        for name in strange
    )
    return lowered._replace(warnings=(*lowered.warnings, *warnings))


def placed(error: BaseException, source: Source) -> BaseException:
    """Return `error` with an excerpt of the Dockerfile where it has a place in it."""
    if isinstance(error, GrammarError):
        lines = None if error.line is None else (error.line, error.line)
        told = DefinitionError(str(error), lines=lines, hint=error.hint or "")
        if error.span is not None:
            told.excerpt = excerpt(source, error.span, error.whole) + "\n"
        return told
    if isinstance(error, BuildError) and error.lines and not error.excerpt:
        error.excerpt = excerpt(source, _whole(source, error.lines)) + "\n"
    return error


def _whole(source: Source, lines: tuple[int, int]) -> Span:
    """Return the span of whole lines."""
    first, last = lines
    return Span(source.path, first, 0, 0, last)
