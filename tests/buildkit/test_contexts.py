"""Contexts by name: opened when asked for, looked at before the build when they are big."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.context.tree import NoMemory
from buildkit.contexts import MAIN, BuildContexts
from buildkit.errors import ContextError
from buildkit.llb.graph import Graph
from buildkit.llb.op import BindMount, ContextOp, Op
from buildkit.main_context import Main
from buildkit.state.root import StateRoot
from grammar.source import Source
from tests.buildkit.ops.stock import copy, run, vertex
from tests.trees import make_tree


def main(directory: Path, *, kept: bool = True, dockerfile: Path | None = None) -> Main:
    return Main(
        str(directory),
        kept=kept,
        dockerfile=None if dockerfile is None else str(dockerfile),
        source=Source("Dockerfile", ""),
        context_name="the name",
        dockerfile_name="",
    )


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as root:
        yield root


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    lines = (
        "file .dockerignore text=hidden",
        "file hidden",
        "file x/a/f",
        "file x/b/f",
        "file y/f",
    )
    return make_tree(tmp_path / "context", *lines)


def test_a_context_is_opened_once_and_by_its_name(
    root: StateRoot, directory: Path, tmp_path: Path
) -> None:
    more = make_tree(tmp_path / "more", "file g")
    contexts = BuildContexts(root, main(directory), {"more": str(more), "gone": "/none"})
    assert contexts.tree(MAIN) is contexts.tree(MAIN)
    assert contexts.tree("more").label == "context more"
    assert contexts.tree(MAIN).place == "the name"
    with pytest.raises(ContextError, match='path "/none" not found'):
        contexts.tree("gone")
    contexts.close()


@pytest.mark.parametrize(("kept", "hidden"), [(True, True), (False, False)])
def test_a_context_from_elsewhere_has_no_ignore_file_and_is_not_remembered(
    root: StateRoot, directory: Path, kept: bool, hidden: bool
) -> None:
    contexts = BuildContexts(root, main(directory, kept=kept), {})
    assert contexts.tree(MAIN).hides("hidden") == hidden
    assert isinstance(contexts.tree(MAIN).memory, NoMemory) == (not kept)
    contexts.close()


def test_the_ignore_file_of_the_dockerfile_counts(
    root: StateRoot, directory: Path, tmp_path: Path
) -> None:
    make_tree(tmp_path, "file D", "file D.dockerignore text=x")
    contexts = BuildContexts(root, main(directory, dockerfile=tmp_path / "D"), {})
    assert contexts.tree(MAIN).hides("x")
    assert not contexts.tree(MAIN).hides("hidden")
    contexts.close()


def test_modes_can_be_as_git_has_them(root: StateRoot, directory: Path) -> None:
    contexts = BuildContexts(root, main(directory), {}, plain_modes=True)
    assert contexts.tree(MAIN).mode(0o100600, "x") == 0o644
    contexts.close()


def graph(*ops: Op) -> Graph:
    """Return a graph with `ops` on the main context as input 1."""
    made = Graph()
    context = made.add(vertex(ContextOp(MAIN), 0))
    for op in ops:
        made.add(vertex(op)._replace(inputs=(None, context.id)))
    return made


def test_what_steps_take_is_looked_at_beforehand(root: StateRoot, directory: Path) -> None:
    mount = BindMount(target="/m", origin=1, source="/y", readonly=True)
    cases: list[tuple[tuple[Op, ...], set[str]]] = [
        ((copy("x"),), {"x", "x/a", "x/b"}),
        ((copy("x/a", "y"),), {"x/a", "y"}),
        ((run("c", mounts=(mount,)),), {"y"}),
        ((copy("x/*"), copy("none"), copy("y/f")), set()),
        ((), set()),
    ]
    for ops, looked_at in cases:
        contexts = BuildContexts(root, main(directory), {})
        contexts.prefetch(graph(*ops))
        tree = contexts.tree(MAIN)
        known = {name for name in ("", "x", "x/a", "x/b", "y") if tree.has_read(name)}
        assert known == looked_at
        contexts.close()


def test_a_build_that_takes_nothing_from_a_context_does_not_open_it(
    root: StateRoot, tmp_path: Path
) -> None:
    contexts = BuildContexts(root, main(tmp_path / "none"), {})
    contexts.prefetch(graph())
    contexts.close()
