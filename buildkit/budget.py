"""Budgets of a build: how large a new layer may be, and how much an image may grow.

In: what the user allows, the images that were made, the image of before. Out: BuildError, naming
the step, its size and what is in it. It is asked once all steps are done, so that a cached step
counts as one that ran: the same Dockerfile passes or fails on every machine. Then the image is kept
without a name, to be looked at, and nothing else is done: no name moves, no output is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from buildkit.errors import BuildError, UsageError
from buildkit.exporter.assemble import Image
from buildkit.frontend.lower import Lowered
from buildkit.inventory.budget import Budget
from buildkit.inventory.difference import Side, difference, summed
from buildkit.inventory.stack import Stacked, stacked
from buildkit.llb.graph import Vertex
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.events import Emit, Note
from buildkit.sizes import limit_text
from buildkit.snapshot.snapshot import Snapshot
from buildkit.worker import Worker
from runtime.values import NamedTuple

_NAMED = 3
"""Files or directories that a message names."""


class Before(NamedTuple):
    """The image that another is to be compared with."""

    name: str
    config: ImageConfig


def before(
    budget: Budget,
    tags: Sequence[Reference],
    several: Sequence[Lowered],
    worker: Worker,
    emit: Emit,
) -> tuple[Before | None, ...]:
    """Return for each platform what its image was, before any name moves.

    Raises ImageError for a name that was asked for and is not there, UsageError without a name.
    """
    if budget.growth is None and budget.percent is None:
        return (None,) * len(several)
    name = budget.against or (tags[0].familiar if tags else "")
    if not name:
        raise UsageError(
            "--max-growth has nothing to compare with",
            hint="give the image a name with -t, or the other one with --growth-from",
        )
    found = tuple(_found(name, lowered, worker, must=bool(budget.against)) for lowered in several)
    if None in found:
        emit(Note(f"no image is called {name} yet: its growth is not measured"))
    return found


def _found(name: str, lowered: Lowered, worker: Worker, *, must: bool) -> Before | None:
    try:
        return Before(name, worker.images.find(name, lowered.platform).config)
    except BuildError:
        if must:
            raise
        return None


def check(
    budget: Budget,
    images: Sequence[Image],
    several: Sequence[Lowered],
    earlier: Sequence[Before | None],
    worker: Worker,
) -> None:
    """Raise BuildError when an image is beyond the budget."""
    for image, lowered, previous in zip(images, several, earlier, strict=True):
        problem = _layer_problem(budget, image, lowered, worker)
        if problem is None and previous is not None:
            problem = _growth_problem(budget, image, previous, worker)
        if problem is not None:
            worker.images.add(image.data)
            short = image.digest.hex[:12]
            problem.hint = f"the image is kept without a name: 'pybuild size {short}' tells more"
            raise problem


def _layer_problem(
    budget: Budget, image: Image, lowered: Lowered, worker: Worker
) -> BuildError | None:
    base = 0 if lowered.base is None else len(lowered.base.config.diff_ids)
    new = stacked(worker.root, image.config)[base:]
    made = [item.vertex for item in lowered.history if item.vertex is not None]
    large = []
    for layer, vertex in zip(new, made, strict=False):
        step = lowered.graph[vertex]
        limit, source = _limit(budget, step)
        if limit is not None and layer.size > limit:
            large.append((layer, step, limit, source))
    if not large:
        return None
    layer, step, limit, source = max(large, key=lambda one: one[0].size)
    more = f" (and {len(large) - 1} more)" if len(large) > 1 else ""
    return BuildError(
        f"{step.label}: its layer has {limit_text(layer.size)}, more than the "
        f"{limit_text(limit)} of {source}{more}{_biggest(layer, worker)}",
        lines=step.lines,
    )


def _limit(budget: Budget, step: Vertex) -> tuple[int | None, str]:
    """Return what a step's layer may have, and who says so; its own comment goes first."""
    if step.wishes.max_layer_size:
        return step.wishes.max_layer_size, "its comment"
    return budget.layer, "--max-layer-size"


def _biggest(layer: Stacked, worker: Worker) -> str:
    """Return the biggest files of a layer, as the end of a sentence."""
    changes = worker.stores().snapshots.changes(Digest(layer.diff_id))
    top = sorted(changes, key=lambda change: -change.size)[:_NAMED]
    shown = ", ".join(f"/{one.path} {limit_text(one.size)}" for one in top if one.size)
    return f": {shown}" if shown else ""


def _growth_problem(
    budget: Budget, image: Image, previous: Before, worker: Worker
) -> BuildError | None:
    was = sum(layer.size for layer in stacked(worker.root, previous.config))
    now = sum(layer.size for layer in stacked(worker.root, image.config))
    allowed = budget.growth
    shown = "" if allowed is None else limit_text(allowed)
    if budget.percent is not None:
        allowed = int(was * budget.percent / 100)
        shown = f"{budget.percent:g}%"
    grown = now - was
    if allowed is None or grown <= allowed:
        return None
    share = f" ({100 * grown / was:.1f}%)" if was else ""
    return BuildError(
        f"the image grew by {limit_text(grown)}{share} to {limit_text(now)} "
        f"against {previous.name}, more than the {shown} of --max-growth"
        f"{_grown(image.config, previous, worker)}"
    )


def _grown(config: ImageConfig, previous: Before, worker: Worker) -> str:
    """Return which directories grew most, as the end of a sentence."""
    one, two = Snapshot.of(previous.config.diff_ids), Snapshot.of(config.diff_ids)
    if one is None or two is None:
        return ""
    store = worker.stores().snapshots
    with ExitStack() as stack:
        first, second = (stack.enter_context(store.view(snapshot)) for snapshot in (one, two))
        _, directories, _ = summed(
            difference(
                Side("", first, stacked(worker.root, previous.config)),
                Side("", second, stacked(worker.root, config)),
            )
        )
    top = sorted(directories.items(), key=lambda entry: -entry[1].grown)[:_NAMED]
    shown = ", ".join(f"{name} +{limit_text(sum_.grown)}" for name, sum_ in top if sum_.grown > 0)
    return f": {shown}" if shown else ": in what later layers hide"
