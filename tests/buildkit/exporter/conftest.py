"""Images in a store of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buildkit.exporter.stock import Stock
from tests.kernel import require


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    """A store with nothing in it."""
    require("root")
    with Stock.open(tmp_path / "root") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Stock]:
    """Another one."""
    require("root")
    with Stock.open(tmp_path / "other") as opened:
        yield opened
