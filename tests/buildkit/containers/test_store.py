"""Names of containers: who has one, and who had it."""

import os
from pathlib import Path

import pytest

from buildkit.containers.record import Record
from buildkit.containers.store import Container, ContainerStore
from buildkit.errors import UsageError
from buildkit.state.root import StateRoot
from runtime.container import Task
from runtime.spec import Process, RootFs, SandboxSpec


def added(root: StateRoot, containers: ContainerStore, name: str) -> Container:
    identity = os.urandom(32).hex()
    half_made = f"{root.tmp()}/container"
    os.mkdir(half_made)
    record = Record(identity, name, "", "", "", (), ("true",))
    task = Task(
        identity=identity,
        directory=containers.directory(identity),
        trash=root.path("tmp"),
        spec=SandboxSpec(RootFs(()), Process(())),
        names=(name,),
    )
    return containers.add(record, task, half_made)


def test_a_name_is_had_by_one_container(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path / "root")) as root:
        containers = ContainerStore(root)
        one = added(root, containers, "one")
        other = added(root, containers, "other")
        for take in (
            lambda: added(root, containers, "one"),
            lambda: containers.rename(other, "one"),
            lambda: containers.check_free("one"),
        ):
            with pytest.raises(UsageError, match="is taken by") as caught:
                take()
            assert caught.value.hint
        assert containers.find("one").directory == one.directory


def test_a_name_whose_container_is_gone_is_free(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path / "root")) as root:
        containers = ContainerStore(root)
        one = added(root, containers, "one")
        for name in ("first", "second"):
            os.symlink(f"../{'0' * 64}", root.path("containers", "names", name))
        containers.rename(one, "first")
        assert containers.find("first").directory == one.directory
        assert added(root, containers, "second").record.name == "second"


def test_what_begins_several_ids_means_some_and_none_alone(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path / "root")) as root:
        containers = ContainerStore(root)
        for identity in ("ab" * 32, "ac" * 32):
            os.mkdir(root.path("containers", identity))
        added(root, containers, "one")
        assert [text for text in ("one", "ab", "a", "zz", "/") if containers.means_any(text)] == [
            "one",
            "ab",
            "a",
        ]
        with pytest.raises(UsageError, match="the beginning of several"):
            containers.find("a")
