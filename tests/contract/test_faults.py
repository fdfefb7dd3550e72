"""The store on a full disk, under kill -9, and with many commands at once."""

import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buildkit.content.local import LocalBlobStore
from buildkit.errors import StoreError
from buildkit.fsck import fsck
from buildkit.gc import Policy, prune
from buildkit.oci.digest import Digest
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.root import StateRoot
from runtime import syscalls
from tests.buildkit.snapshot.tars import Tar
from tests.contract.conftest import Steps
from tests.kernel import REPOSITORY, needs_overlay, needs_root

pytestmark = [needs_root, needs_overlay]

BIG = Tar().add("big", data=os.urandom(6 << 20)).finished()

WORKER = """
import io, os, sys
sys.path.insert(0, sys.argv[2])
from buildkit.content.local import LocalBlobStore
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot
from tests.buildkit.snapshot.tars import Tar
root = StateRoot.open(sys.argv[1])
store = OverlayStore(root)
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    if number == int(sys.argv[5]):
        print("ready", flush=True)
    active = store.prepare(None)
    for name in range(20):
        with open(f"{active.upper}/{number}-{name}", "w") as file:
            file.write(str(number) * 100)
        os.utime(f"{active.upper}/{number}-{name}", (5, 5))
    store.commit(active)
    store.unpack(io.BytesIO(Tar().add(f"foreign-{number}").finished()))
    LocalBlobStore(root).put_bytes(str(number).encode())
store.sync()
root.close()
"""


def worker(top: Path, first: int, last: int, made: int = 0) -> subprocess.Popen[bytes]:
    """Start one that makes layers `first` to `last`; return when it has `made` as many."""
    numbers = map(str, (first, last, first + made))
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(top), str(REPOSITORY), *numbers],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    syscalls.mount("tmpfs", str(disk), "tmpfs", 0, "size=8m,nr_inodes=600")
    yield disk
    syscalls.umount(str(disk), syscalls.MNT_DETACH)


def leftovers(root: StateRoot) -> list[str]:
    return [
        name
        for directory, names, files in os.walk(root.path("tmp", root.lease.name))
        for name in files
    ]


def test_a_full_disk_is_an_error_that_names_the_place_and_leaves_nothing(small: Path) -> None:
    with closing(StateRoot.open(str(small / "root"))) as root:
        store = OverlayStore(root)
        blobs = LocalBlobStore(root)
        kept = store.unpack(io.BytesIO(BIG[: len(BIG)]))
        with pytest.raises(StoreError, match=f"{small}/root.*no space left") as caught:
            store.unpack(io.BytesIO(Tar().add("other", data=os.urandom(4 << 20)).finished()))
        assert "prune" in caught.value.hint
        with pytest.raises(StoreError, match=f"{small}/root/blobs.*no space left"):
            blobs.put(io.BytesIO(os.urandom(4 << 20)))
        assert leftovers(root) == []
        assert list(blobs) == []
        # What is small still works.
        assert blobs.put_bytes(b"x").size == 1
        assert Steps(root, store).base("file a").diff_id != kept
        store.close()


def test_no_inodes_are_a_full_disk_too(small: Path) -> None:
    with closing(StateRoot.open(str(small / "root"))) as root:
        tar = Tar()
        for number in range(700):
            tar.add(f"f{number}")
        with pytest.raises(StoreError, match="no space left"):
            OverlayStore(root).unpack(io.BytesIO(tar.finished()))
        assert leftovers(root) == []


def test_a_layer_that_cannot_be_noted_takes_no_room_after_its_command(tmp_path: Path) -> None:
    with closing(StateRoot.open(str(tmp_path))) as root:
        fails = "SELECT RAISE(ABORT, 'database or disk is full')"
        root.database().execute(
            f"CREATE TEMP TRIGGER full BEFORE INSERT ON layer BEGIN {fails}; END"
        )
        with pytest.raises(StoreError, match="disk is full"):
            OverlayStore(root).unpack(io.BytesIO(Tar().add("one").finished()))
        assert os.listdir(root.path("layers")) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_pruning_works_on_a_full_disk(small: Path) -> None:
    with closing(StateRoot.open(str(small / "root"))) as root:
        OverlayStore(root).unpack(io.BytesIO(BIG))
    with pytest.raises(OSError, match="No space"), (small / "ballast").open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    with closing(StateRoot.open(str(small / "root"))) as root:
        assert len(prune(root, Policy(steps="all")).layers) == 1
        assert os.listdir(root.path("layers")) == []
    assert (small / "root" / "reserve").exists()


def test_a_kill_at_any_moment_leaves_only_whole_layers(tmp_path: Path) -> None:
    StateRoot.open(str(tmp_path)).close()
    chance = random.Random(7)
    for turn in range(12):
        # The first layer takes as long as what is imported for it, and on a busy machine longer.
        process = worker(tmp_path, turn * 100, turn * 100 + 100, made=turn % 2)
        try:
            process.wait(chance.uniform(0.0, 0.15))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with closing(StateRoot.open(str(tmp_path))) as root:
        problems = {finding.problem for finding in fsck(root, full=True)}
    assert problems <= {
        "is left of a command that died",
        "is a directory that no row tells of",
        "is left of a command that died: a layer from elsewhere without its blob",
    }
    with closing(StateRoot.open(str(tmp_path))) as root:
        store = OverlayStore(root)
        rows = root.database().execute("SELECT diff_id FROM layer").fetchall()
        assert rows
        for (diff_id,) in rows:
            assert store.has((Digest(diff_id),))
        assert os.listdir(root.path("tmp")) == []
        prune(root, Policy(steps="all"))
        for blob in LocalBlobStore(root):
            LocalBlobStore(root).read(blob)
        store.close()


def test_many_commands_make_the_same_layers_at_once(tmp_path: Path) -> None:
    StateRoot.open(str(tmp_path)).close()
    processes = [worker(tmp_path, 0, 15) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    with closing(StateRoot.open(str(tmp_path))) as root:
        assert len(os.listdir(root.path("layers"))) == 30
        assert root.database().execute("SELECT count(*), sum(synced) FROM layer").fetchone() == (
            *(30, 30),
        )
        store = OverlayStore(root)
        for (diff_id,) in root.database().execute("SELECT diff_id FROM layer").fetchall():
            if store.is_packed(Digest(diff_id)):
                store.pack(Digest(diff_id), lambda _: None)
            assert store.lowers(Snapshot(Digest(diff_id), (Digest(diff_id),)))
        store.close()


def test_collection_beside_commits_takes_nothing_that_is_in_use(tmp_path: Path) -> None:
    StateRoot.open(str(tmp_path)).close()
    process = worker(tmp_path, 0, 40)
    with closing(StateRoot.open(str(tmp_path))) as root:
        while process.poll() is None:
            prune(root, Policy(steps="all"))
    assert process.returncode == 0
    with closing(StateRoot.open(str(tmp_path))) as root:
        problems = {finding.problem for finding in fsck(root)}
        # What was made last may have outlived the last collection; no image needs it.
        assert problems <= {
            "is left of a command that died: a layer from elsewhere without its blob"
        }
