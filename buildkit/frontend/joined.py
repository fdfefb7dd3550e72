"""The graphs of several platforms as one.

In: what a Dockerfile comes to for each platform. Out: one `Lowered` whose target is all of theirs.
A vertex is named by what it is, so a step that is the same for two platforms, as those of a stage
`FROM --platform=$BUILDPLATFORM` are until one asks for the target's, is there once and runs once.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildkit.frontend.lower import Lowered
from buildkit.llb.graph import Graph


def joined(several: Sequence[Lowered]) -> Lowered:
    """Return the whole of `several`, which are at least one; what is no graph is of the first.

    Steps are numbered through: those of the first platform, then what others have besides.
    """
    graph = Graph()
    number = 0
    for lowered in several:
        for vertex in lowered.graph:
            if vertex.id in graph:
                continue
            if vertex.number:
                number += 1
                vertex = vertex._replace(number=number)  # noqa: PLW2901 - the same, renumbered
            graph.add(vertex)
    return several[0]._replace(
        graph=graph,
        target=tuple(one.target for one in several if isinstance(one.target, str)),
        steps=tuple(vertex for vertex in graph if vertex.number),
        findings=tuple(dict.fromkeys(finding for one in several for finding in one.findings)),
        warnings=tuple(dict.fromkeys(text for one in several for text in one.warnings)),
    )
