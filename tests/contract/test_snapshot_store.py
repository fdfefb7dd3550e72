"""What every snapshot store promises; changes are made through real overlay mounts."""

# mypy: disable-error-code="func-returns-value"

import io
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.errors import ImageError, StepError, StoreError
from buildkit.oci.digest import Digest
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.removal import remove_tree
from buildkit.state.root import StateRoot
from tests.contract.conftest import Steps, remembered
from tests.trees import make_tree

EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
BASE = (
    "file etc/motd 0644 text=hello mtime=1000",
    "file etc/conf 0600 1:2 text=secret",
    "dir data 0750 5:5",
    "file data/one text=1",
    "file data/sub/two text=2",
    "link bin -> usr/bin",
    "file usr/bin/sh 0755 text=#!",
    "hard usr/bin/ash = usr/bin/sh",
    "dir tmp 1777",
)


def kinds(changes: object) -> list[str]:
    return [f"{change.kind} {change.path}" for change in changes]  # type: ignore[attr-defined]


def remake(path: Path, *names: str) -> None:
    shutil.rmtree(path)
    path.mkdir()
    for name in names:
        (path / name).touch()


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda view: (view / name).write_text(text)


CASES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda view: None, []),
    "a new file": (write("new", "x"), ["added new"]),
    "a changed file": (write("etc/motd", "bye"), ["changed etc", "changed etc/motd"]),
    "a deleted file": (
        lambda view: (view / "etc/motd").unlink(),
        ["changed etc", "deleted etc/motd"],
    ),
    "a deleted directory": (lambda view: shutil.rmtree(view / "data"), ["deleted data"]),
    "a directory made anew": (
        lambda view: remake(view / "data", "three"),
        ["changed data", "opaque data", "added data/three"],
    ),
    "a new directory in place of a file": (
        lambda view: ((view / "etc/motd").unlink(), (view / "etc/motd").mkdir()),
        ["changed etc", "changed etc/motd"],
    ),
    "a file in place of a directory": (
        lambda view: (shutil.rmtree(view / "data"), (view / "data").touch()),
        ["changed data"],
    ),
    "a new directory, deleted and made again": (
        lambda view: ((view / "n").mkdir(), (view / "n").rmdir(), (view / "n").mkdir()),
        ["added n"],
    ),
    "made and deleted": (
        lambda view: ((view / "etc/x").touch(), (view / "etc/x").unlink()),
        [],
    ),
    "chown to what it is": (
        lambda view: [os.chown(view / name, 1, 2) for name in ("etc/conf",)],
        [],
    ),
    "chmod to what it is": (
        lambda view: [(view / name).chmod(0o1777) for name in ("tmp",)],
        [],
    ),
    "chmod": (
        lambda view: (view / "etc/motd").chmod(0o4755),
        ["changed etc", "changed etc/motd"],
    ),
    "chmod of a directory": (lambda view: (view / "data").chmod(0o700), ["changed data"]),
    "touch": (
        lambda view: os.utime(view / "etc/motd", (5, 5)),
        ["changed etc", "changed etc/motd"],
    ),
    "the same bytes and time, written again": (
        lambda view: (
            (view / "etc/motd").write_text("hello"),
            os.utime(view / "etc/motd", (1000, 1000)),
        ),
        [],
    ),
    "other bytes, the same size and time": (
        lambda view: (
            (view / "etc/motd").write_text("HELLO"),
            os.utime(view / "etc/motd", (1000, 1000)),
        ),
        ["changed etc", "changed etc/motd"],
    ),
    "an attribute": (
        lambda view: os.setxattr(view / "etc/motd", "user.k", b"v"),
        ["changed etc", "changed etc/motd"],
    ),
    "a link to somewhere else": (
        lambda view: ((view / "bin").unlink(), (view / "bin").symlink_to("/")),
        ["changed bin"],
    ),
    "a hard link to an old file": (
        lambda view: os.link(view / "etc/motd", view / "again"),
        ["added again", "changed etc", "changed etc/motd"],
    ),
    "a renamed file": (
        lambda view: (view / "etc/motd").rename(view / "data/motd"),
        ["changed data", "added data/motd", "changed etc", "deleted etc/motd"],
    ),
    "a FIFO": (lambda view: os.mkfifo(view / "etc/f"), ["changed etc", "added etc/f"]),
    "a socket": (lambda view: make_tree(view, "socket etc/s"), []),
    "a socket in place of a file": (
        lambda view: ((view / "etc/motd").unlink(), make_tree(view, "socket etc/motd")),
        ["changed etc", "deleted etc/motd"],
    ),
    "the root's own mode": (lambda view: view.chmod(0o711), ["changed "]),
    "an odd name": (
        lambda view: Path(os.fsdecode(os.fsencode(view) + b"/\xff\n")).touch(),
        ["added \udcff\n"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happened_is_what_is_listed(steps: Steps, case: str) -> None:
    action, expected = CASES[case]
    base = steps.base(*BASE)
    done = steps.run(base.snapshot, action)
    assert kinds(done.changes) == expected
    assert done.reused is False
    assert done.snapshot == Snapshot.on(base.snapshot, done.diff_id)


@pytest.mark.parametrize("case", CASES)
def test_a_layer_packed_again_has_its_diff_id(steps: Steps, case: str) -> None:
    done = steps.run(steps.base(*BASE).snapshot, CASES[case][0])
    data = steps.tar(done)
    assert Digest.of(data) == done.diff_id
    assert len(data) == done.size


@pytest.mark.parametrize("case", CASES)
def test_a_layer_unpacked_elsewhere_gives_the_same_tree(
    steps: Steps, case: str, tmp_path: Path
) -> None:
    base = steps.base(*BASE)
    done = steps.run(base.snapshot, CASES[case][0])
    with StateRoot.open(str(tmp_path / "other")) as root:
        other = Steps(root, OverlayStore(root))
        for committed in (base, done):
            tar = io.BytesIO(steps.tar(committed))
            assert other.store.unpack(tar, committed.diff_id) == committed.diff_id
        assert other.merged(done.snapshot) == steps.merged(done.snapshot)
        active = other.store.prepare(done.snapshot)
        mine = steps.store.prepare(done.snapshot)
        assert os.stat(active.upper).st_mode == os.stat(mine.upper).st_mode
        other.store.close()  # type: ignore[attr-defined]


def test_no_change_is_the_empty_layer_that_all_tools_know(steps: Steps) -> None:
    done = steps.run(steps.base(*BASE).snapshot, lambda view: None)
    assert done.diff_id == EMPTY
    assert steps.tar(done) == bytes(1024)


def test_the_same_content_at_another_time_is_the_earlier_layer(steps: Steps) -> None:
    base = steps.base(*BASE).snapshot
    first = steps.run(base, lambda view: make_tree(view, "file out/a text=1 mtime=100"))
    again = steps.run(
        base,
        lambda view: make_tree(view, "file out/a text=1 mtime=900"),
        candidates=remembered(first),
    )
    assert again.reused
    assert (again.diff_id, again.created) == (first.diff_id, first.created)
    assert os.listdir(steps.root.path("tmp", steps.root.lease.name)) == []


_BEGAN = 1_000
"""Seconds: when the step began that the next test is about."""


@pytest.mark.parametrize(
    ("first", "second", "clamp", "same"),
    [
        (100, 100, None, True),
        (100, 900, None, False),  # as by touch -d, or tar
        (100, _BEGAN + 5, None, True),  # as by a program that just wrote it
        (100, 2 << 31, None, False),
        (100, _BEGAN + 5, 500, True),
        (100, 600, 500, True),  # told from the one above by nobody any more
        (100, 200, 500, False),
    ],
)
def test_a_time_that_a_step_has_set_counts(
    steps: Steps, first: int, second: int, clamp: int | None, same: bool
) -> None:
    base = steps.base(*BASE).snapshot
    early = f"file data/a text=1 mtime={first}"
    one = steps.run(base, lambda view: make_tree(view, early), clamp=clamp)
    again = steps.run(
        base,
        lambda view: make_tree(view, f"file data/a text=1 mtime={second}"),
        candidates=remembered(one),
        clamp=clamp,
        since=_BEGAN * 1_000_000_000,
    )
    assert again.reused == same
    assert (again.diff_id == one.diff_id) == same


@pytest.mark.parametrize("other", ["file out/a text=2", "file out/b text=1", "dir out/a"])
def test_another_content_is_another_layer(steps: Steps, other: str) -> None:
    base = steps.base(*BASE).snapshot
    first = steps.run(base, lambda view: make_tree(view, "file out/a text=1 mtime=100"))
    again = steps.run(
        base,
        lambda view: make_tree(view, other),
        # As if the fingerprints had collided.
        candidates=lambda _: [(first.diff_id, first.created)],
    )
    assert not again.reused
    assert again.diff_id != first.diff_id


def test_a_candidate_that_is_gone_is_no_candidate(steps: Steps) -> None:
    base = steps.base(*BASE).snapshot
    gone = Digest.of(b"gone")
    done = steps.run(base, write("new", "x"), candidates=lambda _: [(gone, "then")])
    assert not done.reused


def test_hard_links_stay_links_in_the_layer(steps: Steps, tmp_path: Path) -> None:
    base = steps.base("file a text=x", "hard b/c = a", "file d text=x")
    with StateRoot.open(str(tmp_path / "other")) as root:
        other = Steps(root, OverlayStore(root))
        other.store.unpack(io.BytesIO(steps.tar(base)))
        assert other.merged(base.snapshot) == [
            *("file a 0644 0:0 text=x", "dir b 0755 0:0", "hard b/c = a", "file d 0644 0:0 text=x"),
        ]


def test_no_time_in_a_clamped_layer_is_later(steps: Steps) -> None:
    base = steps.base(*BASE).snapshot
    done = steps.run(
        base,
        lambda view: make_tree(view, "file etc/late text=1", "file old mtime=7", "link l -> x"),
        clamp=1000,
    )
    assert done.created == "1970-01-01T00:16:40Z"
    lines = dict(line.split(" ", 2)[1:] for line in steps.merged(done.snapshot, times=True))
    for name, expected in (("etc/late", 1000), ("etc", 1000), ("old", 7), ("l", 1000)):
        assert lines[name].endswith(f"mtime={expected}")
    assert Digest.of(steps.tar(done)) == done.diff_id


def test_a_name_that_would_delete_is_refused(steps: Steps) -> None:
    with pytest.raises(StepError, match=r"/etc/\.wh\.motd cannot be in a layer"):
        steps.run(steps.base(*BASE).snapshot, write("etc/.wh.motd", ""))
    assert os.listdir(steps.root.path("tmp", steps.root.lease.name)) == []


def test_root_attributes_are_inherited_through_layers_that_do_not_change_them(
    steps: Steps,
) -> None:
    base = steps.run(steps.base(*BASE).snapshot, lambda view: view.chmod(0o700))
    later = steps.run(base.snapshot, write("new", ""))
    seen = []
    steps.run(later.snapshot, lambda view: seen.append(view.stat().st_mode & 0o7777))
    assert seen == [0o700]
    assert kinds(later.changes) == ["added new"]


def test_deep_trees_are_committed_packed_and_removed(steps: Steps) -> None:
    active = steps.store.prepare(None)
    fd = os.open(active.upper, os.O_RDONLY)
    for _ in range(500):
        os.mkdir("a-long-name", dir_fd=fd)
        inner = os.open("a-long-name", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    done = steps.store.commit(active)
    try:
        assert len(done.changes) == 500
        assert steps.store.unpack(io.BytesIO(steps.tar(done))) == done.diff_id
    finally:
        remove_tree(steps.store.lowers(done.snapshot)[0])


def test_a_sparse_file_stays_sparse_and_is_whole(steps: Steps, tmp_path: Path) -> None:
    def sparse(view: Path) -> None:
        with (view / "image").open("wb") as file:
            file.seek(20 << 20)
            file.write(b"end")

    done = steps.run(steps.base(*BASE).snapshot, sparse)
    with StateRoot.open(str(tmp_path / "other")) as root:
        store = OverlayStore(root)
        store.unpack(io.BytesIO(steps.tar(done)))
        image = Path(store.lowers(Snapshot(done.diff_id, (done.diff_id,)))[0], "image")
        assert image.stat().st_size == (20 << 20) + 3
        assert image.stat().st_blocks * 512 < 1 << 20
        assert image.read_bytes()[-3:] == b"end"


def test_two_commits_of_one_content_at_once_are_one_layer(steps: Steps) -> None:
    actives = [steps.store.prepare(None) for _ in range(8)]
    for active in actives:
        make_tree(Path(active.upper), "file a text=x mtime=5", "file b/c mtime=5", "dir b mtime=5")
    found = []
    threads = [
        threading.Thread(target=lambda one=active: found.append(steps.store.commit(one).diff_id))
        for active in actives
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(steps.root.path("layers")) == [found[0].hex]


def test_a_layer_that_is_not_here_is_named(steps: Steps) -> None:
    missing = Digest.of(b"missing")
    snapshot = Snapshot.of([missing])
    assert snapshot is not None
    assert not steps.store.has((missing,))
    for ask in (steps.store.lowers, steps.store.prepare):
        with pytest.raises(StoreError, match=f"layer {missing} is not in the store"):
            ask(snapshot)


def test_a_layer_that_was_not_synced_before_a_power_cut_is_not_trusted(steps: Steps) -> None:
    synced = steps.base("file a text=1").diff_id
    steps.store.sync()
    unsynced = steps.base("file a text=2").diff_id
    steps.root.database().execute("UPDATE layer SET boot_id='before'")
    store = OverlayStore(steps.root)
    assert store.has((synced,))
    assert not store.has((unsynced,))
    # And it can be made again, in the place of what may be torn.
    Path(store._layers.fs(unsynced), "a").write_text("torn")
    again = steps.base("file a text=2")
    assert again.diff_id == unsynced
    assert OverlayStore(steps.root).has((unsynced,))
    assert Digest.of(steps.tar(again)) == unsynced


def test_a_directory_without_a_row_is_replaced(steps: Steps) -> None:
    done = steps.base("file a text=1 mtime=7")
    steps.root.database().execute("DELETE FROM layer")
    Path(steps.root.path("layers", done.diff_id.hex, "fs", "a")).write_text("half")
    steps.store = OverlayStore(steps.root)
    assert steps.base("file a text=1 mtime=7").diff_id == done.diff_id
    assert Digest.of(steps.tar(done)) == done.diff_id


def test_damage_is_found_when_a_layer_leaves(steps: Steps) -> None:
    done = steps.base("file a text=1")
    Path(steps.store.lowers(done.snapshot)[0], "a").write_text("2")
    with pytest.raises(StoreError, match="is damaged"):
        steps.tar(done)


def test_a_tar_that_is_not_the_layer_announced_is_not_kept(steps: Steps) -> None:
    with pytest.raises(ImageError, match="diff ID sha256:"):
        steps.store.unpack(io.BytesIO(bytes(1024)), Digest.of(b"other"))
    assert os.listdir(steps.root.path("layers")) == []
    assert os.listdir(steps.root.path("tmp", steps.root.lease.name)) == []


def test_an_error_of_the_stream_is_the_callers(steps: Steps) -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        steps.store.unpack(Broken())


def test_the_listing_of_a_layer_can_be_had_later(steps: Steps) -> None:
    done = steps.run(steps.base(*BASE).snapshot, CASES["a directory made anew"][0])
    assert kinds(steps.store.changes(done.diff_id)) == [
        *("added data", "opaque data", "added data/three"),
    ]


def test_a_stack_may_hold_a_layer_twice(steps: Steps) -> None:
    base = steps.base("file a text=1 mtime=5", "file d/x text=1 mtime=5", "dir d mtime=5").snapshot
    nothing = steps.run(base, lambda view: None).snapshot
    gone = steps.run(nothing, lambda view: ((view / "a").unlink(), shutil.rmtree(view / "d")))
    again = steps.base("file a text=1 mtime=5", "file d/x text=1 mtime=5", "dir d mtime=5")
    whole = Snapshot.of((*gone.snapshot.diff_ids, nothing.diff_ids[-1], again.diff_id))

    assert whole is not None
    assert again.diff_id == base.diff_ids[0]
    assert steps.merged(whole) == steps.merged(base)
    assert steps.merged(steps.run(whole, lambda view: None).snapshot) == steps.merged(base)


def test_a_step_cannot_hide_a_directory_by_an_attribute(steps: Steps) -> None:
    def mark(view: Path) -> None:
        for name in ("user.overlay.opaque", "user.overlay.whiteout"):
            try:
                os.setxattr(view / "data", name, b"y")
            except PermissionError:
                pytest.skip("the kernel does not let a step set it")
        (view / "data" / "new").touch()

    base = steps.base(*BASE)
    done = steps.run(base.snapshot, mark)
    assert kinds(done.changes) == ["changed data", "added data/new"]
    assert b"overlay" not in steps.tar(done)
