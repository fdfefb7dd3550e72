"""A store, and caches that are lists in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.progress.cancel import Cancel
from buildkit.state.root import StateRoot


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    """A state root."""
    with StateRoot.open(str(tmp_path / "root")) as opened:
        opened.database()  # made before several threads want to make it
        yield opened


@pytest.fixture
def cancel() -> Iterator[Cancel]:
    """The user's wish to stop."""
    with Cancel() as found:
        yield found
