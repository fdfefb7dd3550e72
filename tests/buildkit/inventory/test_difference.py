"""Two images held against each other."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.inventory.difference import Side, difference, summed
from buildkit.snapshot.snapshot import Snapshot
from tests.buildkit.inventory.conftest import layers_of
from tests.contract.conftest import Steps

BASE = (
    "file etc/motd 0644 text=hello mtime=1000",
    "file data/one text=1",
    "file data/sub/two text=two",
    "link bin -> usr/bin",
    "file usr/bin/sh 0755 text=#!",
)


def told(steps: Steps, one: Snapshot, two: Snapshot, *, times: bool = False) -> list[str]:
    with steps.store.view(one) as first, steps.store.view(two) as second:
        found = difference(
            Side("one", first, layers_of(steps, one)),
            Side("two", second, layers_of(steps, two)),
            times=times,
        )
        return [
            " ".join([c.letter, c.path, str(c.before), str(c.after), str(c.layer), *c.kinds])
            for c in found
        ]


def again(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()
    (path / "three").write_text("3")


CASES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda view: None, []),
    "a new file": (lambda view: (view / "new").write_text("xy"), ["A /new 0 2 2"]),
    "other content": (
        lambda view: (view / "etc/motd").write_text("goodbye"),
        ["C /etc/motd 5 7 2 content"],
    ),
    "the same size": (
        lambda view: (view / "etc/motd").write_text("HELLO"),
        ["C /etc/motd 5 5 2 content"],
    ),
    "mode and owner": (
        lambda view: (os.chown(view / "data/one", 1, 2), (view / "data/one").chmod(0o600)),
        ["C /data/one 1 1 2 mode owner"],
    ),
    "a time alone": (lambda view: os.utime(view / "etc/motd", (5, 5)), []),
    "an attribute": (
        lambda view: os.setxattr(view / "etc/motd", "user.k", b"v"),
        ["C /etc/motd 5 5 2 attributes"],
    ),
    "a link elsewhere": (
        lambda view: ((view / "bin").unlink(), (view / "bin").symlink_to("/x")),
        ["C /bin 0 0 2 target"],
    ),
    "another type": (
        lambda view: ((view / "bin").unlink(), (view / "bin").mkdir()),
        ["C /bin 0 0 2 type target mode"],
    ),
    "a directory gone": (
        lambda view: shutil.rmtree(view / "data"),
        ["D /data 0 0 1", "D /data/one 1 0 1", "D /data/sub 0 0 1", "D /data/sub/two 3 0 1"],
    ),
    "a directory made anew": (
        lambda view: again(view / "data"),
        [
            "D /data/one 1 0 1",
            "D /data/sub 0 0 1",
            "D /data/sub/two 3 0 1",
            "A /data/three 0 1 2",
        ],
    ),
    "a directory replaced by a link out of it": (
        lambda view: (shutil.rmtree(view / "data"), (view / "data").symlink_to("/etc")),
        [
            "C /data 0 0 2 type target mode",
            "D /data/one 1 0 1",
            "D /data/sub 0 0 1",
            "D /data/sub/two 3 0 1",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_step_did_is_told_both_ways(steps: Steps, name: str) -> None:
    action, expected = CASES[name]
    base = steps.base(*BASE).snapshot
    after = steps.run(base, action).snapshot
    assert told(steps, base, after) == expected
    letters = {"A": "D", "D": "A", "C": "C"}
    back = [line.split()[:2] for line in told(steps, after, base)]
    assert [[letters[letter], path] for letter, path in back] == [
        line.split()[:2] for line in expected
    ]


def test_times_count_when_that_is_wanted(steps: Steps) -> None:
    base = steps.base(*BASE).snapshot
    after = steps.run(base, lambda view: os.utime(view / "etc/motd", (5, 5))).snapshot
    assert told(steps, base, after, times=True) == ["C /etc/motd 5 5 2 time"]


def test_images_without_a_layer_in_common_are_read_to_the_end(steps: Steps) -> None:
    one, two = steps.base(*BASE).snapshot, steps.base(*BASE, "file x text=1").snapshot
    assert told(steps, one, two) == ["A /x 0 1 1"]


def test_sums_are_by_directory_and_by_layer(steps: Steps) -> None:
    base = steps.base(*BASE).snapshot
    middle = steps.run(base, lambda view: (view / "data/sub/new").write_text("12345")).snapshot
    last = steps.run(middle, lambda view: (view / "etc/motd").unlink()).snapshot
    with steps.store.view(base) as first, steps.store.view(last) as second:
        found = list(
            difference(
                Side("one", first, layers_of(steps, base)),
                Side("two", second, layers_of(steps, last)),
            )
        )
    whole, directories, layers = summed(found)
    assert whole == (1, 0, 1, 0)
    assert directories == {"/data/sub": (1, 0, 0, 5), "/etc": (0, 0, 1, -5)}
    assert layers == {0: (0, 0, 1, -5), 2: (1, 0, 0, 5)}
