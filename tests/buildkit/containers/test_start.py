"""A start that ends early leaves a container that its maker can remove."""

import inspect
from pathlib import Path

from buildkit.containers import start as starts
from buildkit.containers.store import ContainerStore
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot
from runtime import container
from tests.buildkit.containers.test_store import added
from tests.interruption import interrupted


def test_an_interrupted_start_gives_the_lock_back(tmp_path: Path) -> None:
    source, first = inspect.getsourcelines(starts.start)
    # There it is the monitor's.
    handed = first + next(n for n, line in enumerate(source) if "starting.start(" in line)
    with StateRoot.open(str(tmp_path / "root")) as root:
        one = added(root, ContainerStore(root), "one")
        store = OverlayStore(root)

        def work() -> None:
            starts.start(root, store, one, attached=True)

        lines = []
        for line in interrupted(work, starts.__file__, "start"):
            assert container.is_free(one.directory), f"line {line}"
            lines.append(line)
            if line == handed:
                break
    assert lines[-1] == handed
    assert len(lines) > 3
