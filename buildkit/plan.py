"""What a build would do, without doing it.

In: what the user asked for, and what the machine has. Out: one `Planned` a step. Looks at the
context and at the cache, runs nothing and leaves no record.
"""

from buildkit.build import BuildRequest, identity_of, resolve_for
from buildkit.contexts import BuildContexts, find_dockerfile
from buildkit.definition import arguments, check_policy, lowered_with, placed
from buildkit.ops.table import BuildOps
from buildkit.solver.causes import Past
from buildkit.solver.plan import Planned
from buildkit.solver.plan import plan as plan_graph
from buildkit.worker import Worker
from grammar.parser import parse


def plan(request: BuildRequest, worker: Worker) -> tuple[Planned, ...]:
    """Return what `build` would do. Raises BuildError as it does."""
    path, source = find_dockerfile(request.context, request.dockerfile)
    contexts = BuildContexts(
        worker.root,
        request.context,
        path,
        request.context_sources,
        plain_modes=request.plain_modes,
    )
    try:
        dockerfile = parse(source)
        lowered = lowered_with(dockerfile, request.options, resolve_for(request, path, worker))
        check_policy(request.policy, lowered)
        identity = identity_of(request, path)
        past = Past(lambda: worker.records.last(identity), arguments(dockerfile))
        ops = BuildOps(worker.stores(), contexts, request.secrets, clamp=lowered.epoch)
        try:
            return plan_graph(
                lowered.graph,
                lowered.target,
                ops,
                worker.cache,
                policy=request.policy,
                past=past,
            )
        finally:
            ops.close()
    except Exception as error:
        told = placed(error, source)
        if told is error:
            raise
        raise told from error
    finally:
        contexts.save()
        contexts.close()
