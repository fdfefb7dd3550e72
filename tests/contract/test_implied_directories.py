"""Layers whose tars leave out the directories that lead to their files."""

import io
import os
from pathlib import Path

from buildkit.snapshot.snapshot import Snapshot
from tests.buildkit.snapshot.tars import Tar
from tests.contract.conftest import Steps


def test_directories_without_an_entry_keep_what_they_are_below(steps: Steps) -> None:
    base = steps.base(
        "dir root 0700", "dir tmp 1777", "dir a/b 0750 5:6 xattr.user.k=v", "file a/x"
    )
    tar = (
        Tar().add("root/.bashrc").add("tmp/f").add("a/b/c/d").add("a/.wh.x").hardlink("t", "tmp/f")
    )
    diff_id = steps.store.unpack(io.BytesIO(tar.finished()))
    snapshot = Snapshot.on(base.snapshot, diff_id)
    assert steps.merged(snapshot) == [
        "dir a 0755 0:0",
        "dir a/b 0750 5:6 xattr.user.k=v",
        "dir a/b/c 0755 0:0",
        "file a/b/c/d 0644 0:0",
        "dir root 0700 0:0",
        "file root/.bashrc 0644 0:0",
        "file t 0644 0:0",
        "dir tmp 1777 0:0",
        "hard tmp/f = t",
    ]
    # On another parent the same layer is as plain as its tar.
    other = Snapshot.on(steps.base("file a/y").snapshot, diff_id)
    assert "dir root 0755 0:0" in steps.merged(other)
    assert steps.store.lowers(other)[0] == steps.root.path("layers", diff_id.hex, "fs")
    assert steps.store.lowers(snapshot)[0] != steps.store.lowers(other)[0]


def test_a_step_on_such_a_layer_changes_nothing_by_doing_nothing(steps: Steps) -> None:
    base = steps.base("dir root 0700")
    diff_id = steps.store.unpack(io.BytesIO(Tar().add("root/.bashrc").finished()))
    snapshot = Snapshot.on(base.snapshot, diff_id)
    seen = []

    def look(view: Path) -> None:
        seen.append(os.stat(view / "root").st_mode & 0o777)
        os.chown(view / "root", 0, 0)

    assert steps.run(snapshot, look).changes == ()
    assert seen == [0o700]


def test_opaque_directories_and_whiteouts_stay_what_they_are(steps: Steps) -> None:
    base = steps.base("dir d 0700", "file d/old", "file e/old", "dir e 0711")
    tar = Tar().add("d/.wh..wh..opq").add("d/new").add("e/.wh.old").add("e/new")
    snapshot = Snapshot.on(base.snapshot, steps.store.unpack(io.BytesIO(tar.finished())))
    assert steps.merged(snapshot) == [
        *("dir d 0700 0:0", "file d/new 0644 0:0", "dir e 0711 0:0", "file e/new 0644 0:0"),
    ]


def test_a_layer_that_hides_all_below_stands_alone(steps: Steps) -> None:
    base = steps.base("file a", "file b")
    tar = Tar().add(".wh..wh..opq").add("c")
    snapshot = Snapshot.on(base.snapshot, steps.store.unpack(io.BytesIO(tar.finished())))
    assert steps.merged(snapshot) == ["file c 0644 0:0"]


def test_deletions_of_what_is_not_there_are_not_seen(steps: Steps) -> None:
    tar = Tar().add(".wh.a").add("d/.wh.x").add("d/e/.wh.y").add("f")
    diff_id = steps.store.unpack(io.BytesIO(tar.finished()))
    plain = ["dir d 0755 0:0", "dir d/e 0755 0:0", "file f 0644 0:0"]
    assert steps.merged(Snapshot(diff_id, (diff_id,))) == plain
    base = steps.base("dir d", "file d/x", "file g")
    assert steps.merged(Snapshot.on(base.snapshot, diff_id)) == [*plain, "file g 0644 0:0"]
    seen = []

    def look(view: Path) -> None:
        seen.extend(sorted(os.listdir(view / "d")))

    steps.run(Snapshot(diff_id, (diff_id,)), look)
    steps.run(Snapshot.on(base.snapshot, diff_id), look)
    assert seen == ["e", "e"]
