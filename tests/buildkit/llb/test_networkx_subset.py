"""The subset loader; each case in a process of its own, since modules are loaded once in one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

LOAD = "from buildkit.llb.networkx_subset import load\nnx = load()\n"
USE = """
graph = nx.DiGraph()
graph.add_edge("base", "build")
graph.add_edge("build", "test")
graph.add_edge("build", "final")
graph.add_node("alone")
assert nx.ancestors(graph, "final") == {"base", "build"}
assert nx.descendants(graph, "base") == {"build", "test", "final"}
assert list(nx.topological_sort(graph)) == ["base", "alone", "build", "test", "final"]
assert [sorted(g) for g in nx.topological_generations(graph)] == [
    ["alone", "base"], ["build"], ["final", "test"]
]
assert nx.is_directed_acyclic_graph(graph)
assert list(graph.successors("build")) == ["test", "final"]
try:
    nx.ancestors(graph, "nobody")
except nx.NetworkXError:
    pass
else:
    raise AssertionError("an unknown node has no ancestors")
"""
IS_SUBSET = "import sys\nassert 'networkx.generators' not in sys.modules\n"
IS_WHOLE = "import sys\nassert 'networkx.generators' in sys.modules\n"


def run(program: str) -> str:
    """Run `program` in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_build_needs_is_there_without_the_whole_package() -> None:
    run(LOAD + USE + IS_SUBSET)


def test_loading_is_a_small_part_of_the_plain_import() -> None:
    loaded = run(
        LOAD + "import sys\nprint(sum(name.startswith('networkx') for name in sys.modules))"
    )
    assert int(loaded) < 20


@pytest.mark.parametrize(
    "anything_else",
    [
        pytest.param("nx.path_graph(3)", id="a generator"),
        pytest.param("nx.__version__", id="the version"),
        pytest.param("nx.utils.backends", id="a module of a package"),
        pytest.param("nx.algorithms.simple_cycles", id="an algorithm"),
        pytest.param("from networkx.classes.function import freeze; nx.freeze", id="a function"),
        pytest.param("nx.dag_longest_path(nx.DiGraph([(1, 2)]))", id="what a DAG algorithm needs"),
        pytest.param("nx.DiGraph([(1, 2)]).subgraph([1]).copy()", id="a method of the graph"),
        pytest.param("nx.DiGraph([(1, 2)]).to_undirected()", id="another kind of graph"),
    ],
)
def test_anything_else_makes_it_the_whole_package(anything_else: str) -> None:
    run(LOAD + USE + IS_SUBSET + anything_else + "\n" + IS_WHOLE + USE)


def test_a_graph_made_before_is_an_ordinary_graph_after() -> None:
    run(
        LOAD
        + USE
        + """
import networkx
assert networkx is nx
assert networkx.shortest_path(graph, "base", "final") == ["base", "build", "final"]
assert isinstance(graph, networkx.DiGraph)
assert type(networkx.DiGraph()) is type(graph)
assert isinstance(networkx.MultiDiGraph(), networkx.DiGraph)
try:
    networkx.find_cycle(graph)
except nx.NetworkXNoCycle as error:
    assert isinstance(error, networkx.NetworkXException)
"""
    )


def test_a_function_taken_before_works_after() -> None:
    run(LOAD + USE + "old = nx.ancestors\nnx.path_graph(3)\nassert old(graph, 'build') == {'base'}")


def test_the_whole_package_is_taken_if_it_is_there_already() -> None:
    run("import networkx\n" + LOAD + "assert nx is networkx\n" + USE + IS_WHOLE)


def test_loading_twice_gives_the_same_module() -> None:
    run(LOAD + "assert load() is nx\n" + IS_SUBSET)


def test_a_networkx_of_another_shape_is_imported_as_a_whole() -> None:
    run(
        "from buildkit.llb import networkx_subset\n"
        "networkx_subset._PACKAGES += ('networkx.no_such_package',)\n" + LOAD + USE + IS_WHOLE
    )


def test_a_name_that_nobody_has_is_an_attribute_error() -> None:
    run(
        LOAD
        + """
try:
    nx.no_such_thing
except AttributeError:
    pass
else:
    raise AssertionError
assert not hasattr(nx, "__no_such_thing__")
"""
    )
