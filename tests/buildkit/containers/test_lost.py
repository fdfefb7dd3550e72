"""Containers of `--rm` that have lost their monitor go when somebody comes across them."""

import os
from pathlib import Path

import pytest

from buildkit.containers.lost import remove_lost
from buildkit.containers.record import Record, Volume
from buildkit.containers.store import Container, ContainerStore
from buildkit.containers.volumes import VolumeStore
from buildkit.state.root import StateRoot
from runtime import container
from runtime.container import State, Status, Task
from runtime.spec import Process, RootFs, SandboxSpec


def added(root: StateRoot, *, remove: bool) -> Container:
    """Add a container with a volume without a name and one with a name."""
    identity = os.urandom(32).hex()
    half_made = f"{root.tmp()}/container"
    os.mkdir(half_made)
    volumes = (Volume(identity, "/a", anonymous=True), Volume("named", "/b"))
    for volume in volumes:
        VolumeStore(root).ensure(volume.name, anonymous=volume.anonymous)
    record = Record(identity, "one", "", "", "", (), ("true",), volumes=volumes, remove=remove)
    task = Task(
        identity=identity,
        directory=ContainerStore(root).directory(identity),
        trash=root.path("tmp"),
        spec=SandboxSpec(RootFs(()), Process(())),
        names=("one",),
        remove=remove,
    )
    return ContainerStore(root).add(record, task, half_made)


@pytest.mark.parametrize(
    ("status", "monitored", "remove", "goes"),
    [
        ("running", False, True, True),
        ("paused", False, True, True),
        ("exited", False, True, True),
        ("running", True, True, False),
        ("exited", True, True, False),  # it is just ending
        ("created", False, True, False),  # it waits for its start
        ("running", False, False, False),
        ("exited", False, False, False),
    ],
)
def test_what_was_to_go_and_has_lost_its_monitor_goes(
    tmp_path: Path, status: Status, *, monitored: bool, remove: bool, goes: bool
) -> None:
    with StateRoot.open(str(tmp_path / "root")) as root:
        one = added(root, remove=remove)
        lock = container.hold(one.directory) if monitored else None
        container.write_state(one.directory, State(status, pid=1))
        remove_lost(root)
        assert os.path.exists(one.directory) is not goes
        kept = {volume.name for volume in VolumeStore(root).all()}
        assert kept == ({"named"} if goes else {"named", one.record.identity})
        if lock is not None:
            os.close(lock)
