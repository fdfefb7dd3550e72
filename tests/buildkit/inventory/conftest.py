"""Stacks of layers to tell about."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.inventory.stack import Stacked, stacked
from buildkit.oci.config import History, ImageConfig
from buildkit.oci.platforms import Platform
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.root import StateRoot
from tests.contract.conftest import Steps
from tests.kernel import require


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Steps]:
    require("overlay")
    require("root")
    with StateRoot.open(str(tmp_path / "root")) as root:
        store = OverlayStore(root)
        yield Steps(root, store)
        store.close()


def layers_of(steps: Steps, snapshot: Snapshot) -> tuple[Stacked, ...]:
    """Return the layers of a snapshot, as those of an image whose steps are called `step N`."""
    numbers = range(1, len(snapshot.diff_ids) + 1)
    config = ImageConfig(
        platform=Platform.host(),
        diff_ids=snapshot.diff_ids,
        history=tuple(History(created="", created_by=f"step {number}") for number in numbers),
    )
    return stacked(steps.root, config)
