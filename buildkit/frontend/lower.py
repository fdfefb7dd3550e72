"""A Dockerfile to a graph of vertices and the config of an image; pure.

In: a parsed Dockerfile, options, and the base images that are known so far. Out: `Lowered`, or
`NeedsBases` with the images to resolve before the next try: ONBUILD triggers of one base can ask
for another. Document: docs/dockerfile.md, chapters 7 to 10 and 12.
"""

from __future__ import annotations

from buildkit.frontend import build_args
from buildkit.frontend.bases import BaseRequest, Bases, NeedsBases
from buildkit.frontend.lower_stage import StageLowering
from buildkit.frontend.origins import Origins
from buildkit.frontend.reach import reach, requests
from buildkit.frontend.stages import plan_stages
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.frontend.findings import Finding
    from buildkit.frontend.history import HistoryItem
    from buildkit.frontend.options import LowerOptions
    from buildkit.llb.graph import Graph, Target, Vertex
    from buildkit.oci.config import ContainerConfig, ResolvedImage
    from buildkit.oci.platforms import Platform
    from grammar.instructions import Dockerfile


class Lowered(NamedTuple):
    """What a Dockerfile comes to.

    `target` is the vertex that gives the root file system, None for an empty one. `history` has
    this build's entries; those of `base`, the image at the bottom, come before them. `steps` are
    the vertices that the user sees, in order. `epoch`: SOURCE_DATE_EPOCH. `warnings` are about
    build arguments and comments to pybuild.
    """

    graph: Graph
    target: Target
    config: ContainerConfig
    platform: Platform
    history: tuple[HistoryItem, ...]
    base: ResolvedImage | None
    author: str
    steps: tuple[Vertex, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    epoch: int | None


def base_references(dockerfile: Dockerfile, options: LowerOptions) -> frozenset[BaseRequest]:
    """Return the images that the target needs, but for those that ONBUILD triggers will add.

    Raises DefinitionError.
    """
    stages = plan_stages(dockerfile, build_args.global_scope(dockerfile, options), options)
    return frozenset(requests(stages, reach(stages, {}, options)))


def lower(dockerfile: Dockerfile, options: LowerOptions, bases: Bases) -> Lowered | NeedsBases:
    """Return the graph and the image config of the target. Raises DefinitionError."""
    scope = build_args.global_scope(dockerfile, options)
    epoch = build_args.epoch(scope, options)
    stages = plan_stages(dockerfile, scope, options)
    found = reach(stages, bases, options)
    needed = requests(stages, found)
    missing = {request: use for request, use in needed.items() if request not in bases}
    if missing:
        return NeedsBases(missing)
    lowering = StageLowering(
        dockerfile.escape, options, stages, found, scope, Origins(bases, options)
    )
    state = lowering.lower()
    own_platform = state.platform if state.base is None else state.base.config.platform
    graph = lowering.graph.only(state.vertex)
    return Lowered(
        graph=graph,
        target=state.vertex,
        config=state.config(options.labels),
        platform=options.platform or own_platform,
        history=tuple(state.history),
        base=state.base,
        author=state.author,
        steps=tuple(vertex for vertex in graph if vertex.number),
        findings=tuple(lowering.findings),
        warnings=(
            *lowering.warnings,
            *build_args.unconsumed(
                dockerfile, [one for some in found.triggers.values() for one in some], options
            ),
        ),
        epoch=epoch,
    )
