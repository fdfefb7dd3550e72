"""Volumes that go while `pybuild volume prune` removes them."""

import os
from pathlib import Path

import pytest

from buildkit.cli import volume
from buildkit.cli.arguments import Namespace
from buildkit.containers.volumes import VolumeStore
from buildkit.errors import StoreError
from buildkit.state.root import StateRoot


def prune(top: str) -> None:
    """Do what `volume prune --force --all` does, in the namespaces of the tests."""
    args = Namespace()
    args.force, args.all = True, True
    with StateRoot.open(top) as root:
        volume._prune(root, VolumeStore(root), args)


def test_prune_goes_on_where_somebody_was_quicker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    top = str(tmp_path / "root")
    with StateRoot.open(top) as root:
        for name in ("a", "b", "c"):
            VolumeStore(root).ensure(name, anonymous=False)
    remove = VolumeStore.remove

    def beaten(self: VolumeStore, name: str) -> None:
        if name == "b":
            os.rename(self.path(name), tmp_path / "gone")
            raise StoreError("gone between the look and the rename")
        remove(self, name)

    monkeypatch.setattr(VolumeStore, "remove", beaten)
    prune(top)
    assert sorted(capsys.readouterr().out.split()) == ["a", "c"]


def test_prune_tells_of_a_volume_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = str(tmp_path / "root")
    with StateRoot.open(top) as root:
        VolumeStore(root).ensure("a", anonymous=False)

    def refuse(_self: VolumeStore, name: str) -> None:
        raise StoreError(f"cannot remove {name}")

    monkeypatch.setattr(VolumeStore, "remove", refuse)
    with pytest.raises(StoreError, match="cannot remove a"):
        prune(top)
