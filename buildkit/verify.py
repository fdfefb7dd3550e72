"""Are the results in the cache what their steps give? Steps are run again, and compared.

In: the builds that were, a share of their steps, what goes to mounts. Out: one `Verified` a step.
Times are not compared. The cache is left as it is; directories of cache mounts are used as by any
build.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import ExitStack

from buildkit.cache.key import CacheKey, cache_key, key_document
from buildkit.cache.result import Outcome
from buildkit.errors import BuildError, Cancelled
from buildkit.llb.graph import Vertex
from buildkit.oci.digest import Digest
from buildkit.ops.grants import Grants
from buildkit.ops.table import BuildOps
from buildkit.past_step import PastContexts, PastStep, past_step
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event
from buildkit.progress.reporter import StepReporter
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.marks import is_opaque
from buildkit.tree.compare import compare
from buildkit.tree.entry import text
from buildkit.worker import Worker
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Verdict: TypeAlias = Literal["same", "differs", "failed", "skipped"]

KINDS = frozenset({"exec", "copy", "mkdir"})
SHOWN = 10


class Verified(NamedTuple):
    """`reasons`: paths that differ, why it failed, or why it was not run."""

    build: str
    step: StepRecord
    verdict: Verdict
    reasons: tuple[str, ...] = ()


def candidates(builds: Sequence[BuildRecord], worker: Worker) -> list[tuple[BuildRecord, int]]:
    """Return the steps whose results the cache has, each once: a build, and the position in it."""
    found: dict[str, tuple[BuildRecord, int]] = {}
    for build in builds:
        for position, step in enumerate(build.steps):
            if step.kind in KINDS and step.diff_id and step.key not in found:
                record = worker.cache.find(CacheKey(step.key))
                if record is not None and record.diff_id == step.diff_id:
                    found[step.key] = (build, position)
    return list(found.values())


def sample(
    found: Sequence[tuple[BuildRecord, int]], percent: float, seed: int | None = None
) -> list[tuple[BuildRecord, int]]:
    """Return so many percent of the steps, at least one of any, at random."""
    wanted = min(len(found), max(1, round(len(found) * percent / 100)))
    return random.Random(seed).sample(list(found), wanted)  # noqa: S311 - a choice, no secret


def verify(build: BuildRecord, position: int, worker: Worker, grants: Grants) -> Verified:
    """Run a step again. Raises Cancelled."""
    step = build.steps[position]
    try:
        past = past_step(build, step, worker)
    except BuildError as error:
        return Verified(build.id, step, "skipped", (error.message,))
    with ExitStack() as stack:
        contexts = PastContexts(build)
        stack.callback(contexts.close)
        ops = BuildOps(worker.stores(), contexts, grants, clamp=None)
        stack.callback(ops.disconnect)
        stack.callback(ops.close)
        cancel = stack.enter_context(Cancel())
        return _again(build, past, ops, worker, cancel)


def _again(
    build: BuildRecord, past: PastStep, ops: BuildOps, worker: Worker, cancel: Cancel
) -> Verified:
    step = past.record
    vertex = Vertex(
        id=step.key,
        op=past.op,
        inputs=(None,) * len(past.inputs),
        label=step.name,
        lines=None,
        stage=step.stage,
        number=step.number,
    )
    try:
        identity = ops.identify(vertex, past.inputs)
        if cache_key(key_document(past.op, identity.inputs, identity.parts)) != step.key:
            return Verified(build.id, step, "skipped", ("what it was made from has changed",))
        with StepReporter(_silent, step.number) as reporter:
            outcome = ops.run(vertex, past.inputs, identity, reporter, cancel)
    except Cancelled:
        raise
    except BuildError as error:
        return Verified(build.id, step, "failed", (error.message,))
    return _compared(build, step, outcome, worker)


def _compared(build: BuildRecord, step: StepRecord, outcome: Outcome, worker: Worker) -> Verified:
    if outcome.diff_id is None or outcome.diff_id == step.diff_id:
        return Verified(build.id, step, "same")
    layers = Layers(worker.root)
    paths = differing(layers.fs(Digest.parse(step.diff_id)), layers.fs(outcome.diff_id))
    if not paths:
        return Verified(build.id, step, "same")
    more = (f"and {len(paths) - SHOWN} more",) if len(paths) > SHOWN else ()
    return Verified(build.id, step, "differs", (*paths[:SHOWN], *more))


def differing(old: str, new: str) -> list[str]:
    """Return the paths at which two trees of layers differ in anything but times."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    old_fd, new_fd = os.open(old, flags), os.open(new, flags)
    try:
        found = compare(old_fd, new_fd, times=False, mark=is_opaque)
        return sorted(f"/{text(one.path)}" for one in found)
    finally:
        os.close(old_fd)
        os.close(new_fd)


def _silent(_event: Event) -> None:
    """Show nothing of what a step prints."""
