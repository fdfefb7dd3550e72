"""What a build would do, without doing it.

In: what the user asked for, and what the machine has. Out: one `Planned` a step. Looks at the
context and at the caches (those of --cache-from, too), runs nothing and leaves no record.
"""

from __future__ import annotations

from buildkit.definition import arguments, placed
from buildkit.ops.table import BuildOps
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit
from buildkit.request import BuildRequest, graphs_for, identity_of, ready, sharing_for, whole_of
from buildkit.solver.causes import Past
from buildkit.solver.plan import Planned
from buildkit.solver.plan import plan as plan_graph
from buildkit.worker import Worker
from grammar.parser import parse


def plan(request: BuildRequest, worker: Worker, emit: Emit) -> tuple[Planned, ...]:
    """Return what `build` would do. Raises BuildError as it does."""
    with (
        Cancel() as cancel,
        ready(request, worker, cancel) as given,
        sharing_for(request, worker, emit, cancel) as shared,
    ):
        stores = worker.stores() if shared is None else shared.stores()
        try:
            dockerfile = parse(given.main.source)
            several = graphs_for(request, dockerfile, given.main, worker, emit, cancel, shared)
            lowered = whole_of(several)
            identity = identity_of(request, given.main)
            past = Past(lambda: worker.records.each(identity), arguments(dockerfile))
            ops = BuildOps(stores, given.contexts, given.grants, clamp=lowered.epoch)
            try:
                return plan_graph(
                    lowered.graph,
                    lowered.target,
                    ops,
                    stores.cache,
                    policy=request.policy._replace(epoch=lowered.epoch),
                    past=past,
                )
            finally:
                ops.close()
        except Exception as error:
            told = placed(error, given.main.source)
            if told is error:
                raise
            raise told from error
