"""Stores for tests of operations."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.ops.stores import Stores
from tests.buildkit.ops.stock import Directories, stores_at
from tests.kernel import require
from tests.trees import make_tree


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    require("root")
    require("overlay")
    with stores_at(tmp_path / "root") as found:
        yield found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The directory of the context `context`."""
    return make_tree(tmp_path / "context", "file a text=A", "dir d", "file d/b text=B")


@pytest.fixture
def contexts(context: Path) -> Iterator[Directories]:
    found = Directories({"context": context})
    yield found
    found.close()
