"""The build graph: vertices, and which of them need which.

In: vertices, inputs first. Out: a directed acyclic graph in networkx, its edges running from an
input to what needs it. A vertex is named by what it is and by its inputs, so an equal step of two
stages is one vertex and is solved once; and since an input has to be there before its name can be
made, a graph cannot have a cycle.
"""

from __future__ import annotations

from buildkit.llb import networkx_subset
from buildkit.llb.wishes import NO_WISHES, Wishes
from buildkit.oci.digest import sha256_of
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    from buildkit.llb.op import Op


nx = networkx_subset.load()

Target: TypeAlias = str | tuple[str | None, ...] | None
"""The vertex whose result is wanted, None for scratch; several for several platforms."""


class Vertex(NamedTuple):
    """A node of the build graph.

    `inputs` are names of vertices; None is the empty file system (scratch). For CopyOp, MkdirOp
    and ExecOp the first is the file system they change. `label` is the step's name as the user
    sees it (`[build 2/5] RUN make`), `lines` the first and last line of its instruction, `stage`
    the name of its stage, `stage-N` where it has none. `number` counts the steps the user sees
    from 1, in order of the Dockerfile; it is 0 for a vertex that is no step (a build context).
    `wishes` steer how the solver treats it.
    """

    id: str
    op: Op
    inputs: tuple[str | None, ...]
    label: str
    lines: tuple[int, int] | None
    stage: str
    number: int
    wishes: Wishes = NO_WISHES


def vertex_id(op: Op, inputs: tuple[str | None, ...], wishes: Wishes = NO_WISHES) -> str:
    """Return the name of the vertex that does `op` on `inputs`: equal names, equal results.

    It holds within one build; what may be reused by another is decided by cache keys. Steps that
    are equal but for `wishes` are two vertices: the solver gives both their due.
    """
    definition = repr((type(op).__name__, op, inputs))
    if wishes != NO_WISHES:
        definition += repr(wishes)
    return sha256_of(definition.encode("utf-8", "surrogatepass")).hexdigest()


class Graph:
    """Vertices by name. Iterating gives them in the order they were added: inputs first."""

    def __init__(self) -> None:
        self._vertices: dict[str, Vertex] = {}
        self._drawn: Any = None

    def add(self, vertex: Vertex) -> Vertex:
        """Add `vertex`, or return the equal one that is here already.

        Raises KeyError when one of its inputs is not here.
        """
        present = self._vertices.get(vertex.id)
        if present is not None:
            return present
        for name in vertex.inputs:
            if name is not None and name not in self._vertices:
                raise KeyError(name)
        self._vertices[vertex.id] = vertex
        self._drawn = None
        return vertex

    @property
    def _edges(self) -> Any:  # noqa: ANN401 - networkx has no types
        """The vertices' names as a networkx.DiGraph, made when it is first needed: in one go."""
        if self._drawn is None:
            self._drawn = nx.DiGraph()
            self._drawn.add_nodes_from(self._vertices)
            self._drawn.add_edges_from(
                (name, vertex.id) for vertex in self for name in vertex.inputs if name is not None
            )
        return self._drawn

    def __getitem__(self, name: str) -> Vertex:
        return self._vertices[name]

    def __contains__(self, name: object) -> bool:
        return name in self._vertices

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self._vertices.values())

    def __len__(self) -> int:
        return len(self._vertices)

    def inputs(self, vertex: Vertex) -> tuple[Vertex | None, ...]:
        """Return what `vertex` is made from, in the order of `Vertex.inputs`."""
        return tuple(None if name is None else self._vertices[name] for name in vertex.inputs)

    def dependents(self, vertex: Vertex) -> tuple[Vertex, ...]:
        """Return the vertices that have `vertex` among their inputs, each once."""
        return tuple(self._vertices[name] for name in self._edges.successors(vertex.id))

    def only(self, target: Target) -> Graph:
        """Return the graph of `target` and what it needs, this one if that is all.

        Of None, scratch, the empty graph.
        """
        wanted: set[str] = set()
        for one in target if isinstance(target, tuple) else (target,):
            if one is not None:
                wanted |= nx.ancestors(self._edges, one) | {one}
        if len(wanted) == len(self):
            return self
        graph = Graph()
        for vertex in self:
            if vertex.id in wanted:
                graph.add(vertex)
        return graph

    def order(self) -> tuple[Vertex, ...]:
        """Return all vertices, inputs before what needs them; the same for the same graph."""
        return tuple(self._vertices[name] for name in nx.topological_sort(self._edges))

    def generations(self) -> tuple[tuple[Vertex, ...], ...]:
        """Return the vertices in groups: each needs only what is in the groups before its own."""
        return tuple(
            tuple(self._vertices[name] for name in names)
            for names in nx.topological_generations(self._edges)
        )
