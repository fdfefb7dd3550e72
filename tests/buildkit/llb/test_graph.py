"""Vertices by name, and which of them need which."""

import pytest

from buildkit.llb.graph import Graph, Vertex, vertex_id
from buildkit.llb.op import ContextOp, CopyOp, CopySource, MkdirOp, Op


def vertex(op: Op, *inputs: str | None, label: str = "", number: int = 0) -> Vertex:
    return Vertex(
        id=vertex_id(op, inputs),
        op=op,
        inputs=inputs,
        label=label,
        lines=(1, 1),
        stage="0",
        number=number,
    )


def copy(dest: str) -> CopyOp:
    return CopyOp(
        sources=(CopySource(1, "/src"),),
        dest=dest,
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=False,
    )


def small_graph() -> tuple[Graph, dict[str, Vertex]]:
    """A context, a directory, two copies onto it, one onto both, and one for nobody."""
    graph = Graph()
    named = {"context": graph.add(vertex(ContextOp("context")))}
    named["mkdir"] = graph.add(vertex(MkdirOp("/app", ""), None))
    for name in ("one", "two", "unused"):
        named[name] = graph.add(vertex(copy(f"/{name}"), named["mkdir"].id, named["context"].id))
    named["both"] = graph.add(vertex(copy("/"), named["one"].id, named["two"].id))
    return graph, named


def test_an_equal_step_is_the_same_vertex_and_keeps_its_first_label() -> None:
    graph = Graph()
    first = graph.add(vertex(MkdirOp("/app", ""), None, label="[a 1/1] WORKDIR /app", number=1))
    again = graph.add(vertex(MkdirOp("/app", ""), None, label="[b 1/1] WORKDIR /app", number=2))
    assert again is first
    assert len(graph) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(vertex(MkdirOp("/other", ""), None), id="a field"),
        pytest.param(vertex(MkdirOp("/app", ""), "x"), id="an input"),
        pytest.param(vertex(MkdirOp("/app", "")), id="no input"),
        pytest.param(vertex(ContextOp("/app"), None), id="the op"),
    ],
)
def test_what_differs_in_anything_is_another_vertex(other: Vertex) -> None:
    assert other.id != vertex(MkdirOp("/app", ""), None).id


def test_a_name_holds_characters_that_are_no_text() -> None:
    assert len(vertex_id(MkdirOp("/\udcff", ""), (None,))) == 64


def test_an_input_has_to_be_there_first() -> None:
    with pytest.raises(KeyError):
        Graph().add(vertex(MkdirOp("/app", ""), "nobody"))


def test_inputs_come_before_what_needs_them() -> None:
    graph, named = small_graph()
    order = [one.id for one in graph.order()]
    assert sorted(order) == sorted(one.id for one in graph)
    for one in graph:
        assert all(order.index(name) < order.index(one.id) for name in one.inputs if name)
    first, *_, last = graph.generations()
    assert set(first) == {named["context"], named["mkdir"]}
    assert last == (named["both"],)


def test_only_what_the_target_needs_is_kept() -> None:
    graph, named = small_graph()
    pruned = graph.only(named["one"].id)
    assert set(pruned) == {named["context"], named["mkdir"], named["one"]}
    assert named["both"].id not in pruned
    assert len(graph.only(None)) == 0


def test_inputs_and_dependents_are_vertices() -> None:
    graph, named = small_graph()
    assert graph.inputs(named["one"]) == (named["mkdir"], named["context"])
    assert graph.inputs(named["mkdir"]) == (None,)
    assert graph.dependents(named["mkdir"]) == (named["one"], named["two"], named["unused"])
    assert graph[named["one"].id] is named["one"]
