"""Inputs of a vertex as trees."""

import os

import pytest

from buildkit.cache.result import ContextRef
from buildkit.ops.origins import Origins
from buildkit.ops.stores import Stores
from tests.buildkit.ops.stock import Directories, layer


def test_a_tree_is_opened_when_it_is_asked_for_and_once(
    stores: Stores, contexts: Directories
) -> None:
    origins = Origins(
        stores.root,
        stores.snapshots,
        contexts,
        (None, ContextRef("context"), layer(stores, "file s")),
    )
    assert contexts.asked == []
    context, snapshot = (origins.trees({1, 2})[number] for number in (1, 2))
    assert origins.tree(1) is context
    assert contexts.asked == ["context"]
    assert "a" in {row[0] for row in context.directory("").rows}
    assert [row[0] for row in snapshot.directory("").rows] == ["s"]
    origins.close()
    # The context is the build's, the view of the snapshot was this vertex's.
    assert "a" in os.listdir(context.root_fd)
    origins.close()


def test_scratch_is_an_empty_tree(stores: Stores, contexts: Directories) -> None:
    origins = Origins(stores.root, stores.snapshots, contexts, (None,))
    assert list(origins.tree(0).directory("").rows) == []
    origins.close()


@pytest.mark.parametrize(("number", "download"), [(0, True), (1, False)])
def test_only_what_is_in_a_context_is_unpacked_unasked(
    stores: Stores, contexts: Directories, number: int, download: bool
) -> None:
    inputs = (layer(stores, "file s"), ContextRef("context"))
    origins = Origins(stores.root, stores.snapshots, contexts, inputs)
    assert origins.tree(number).download == download
    origins.close()
