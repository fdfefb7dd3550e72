"""Copies instead of overlays, where the state root's file system can hold no overlay's changes."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import syscalls
from tests import namespaces
from tests.callers import Caller
from tests.kernel import require
from tests.leftovers import nothing_left
from tests.program import Pybuild

STEPS = (
    "true",
    "rm -r d/one e/f",
    "echo more >> d/one; chmod 700 e; chown 3:4 e/g",
    "rm -r d; mkdir d; echo n > d/new",
    "rm d/one; mkdir d/one; rm -r e; ln -s d e; mkfifo p; ln d/two linked",
    "echo x >> d/two; grep 2 d/three && ! grep x d/three",
    "chmod 711 /; touch -d @7 d /new",
    "cp -p d/one one; rm d/one; mv one d/",
    "cp -a e c; rm -r e; mv c was",
    "rm -rf e; mkdir -p e/a/b; rm hole; mkdir hole",
    "chmod 4755 d/one && truncate -s 2M hole && echo end >> hole",
    "rm -rf /t0 $PWD/d; mkdir -p /var/x",
)
TREE = (
    "dir tree/d 0750",
    "file tree/d/one 0644 text=1 xattr.user.a=1",
    "file tree/d/two 0644 text=2",
    "hard tree/d/three = tree/d/two",
    "file tree/e/f 0600 text=f",
    "file tree/e/g 0644 text=g",
    "file tree/hole 0644 text=h",
)


def _dockerfile() -> str:
    """Each step has a tree of its own; a few of them make a RUN."""
    lines = ["FROM busybox", "COPY trees /"]
    for first in range(0, len(STEPS), 4):
        steps = (f"cd /t{n} && {STEPS[n]}" for n in range(first, first + 4))
        lines.append("RUN set -e; " + "; ".join(steps))
    return "\n".join(lines) + "\n"


def _layers(pybuild: Pybuild, context: Path) -> list[str]:
    pybuild("build", "-q", "--source-date-epoch", "1000000000", "-t", "made", context).ok()
    layers = json.loads(pybuild("inspect", "made").ok().output)[0]["RootFS"]["Layers"]
    assert isinstance(layers, list)
    return layers


@contextmanager
def on_an_overlay(caller: Caller) -> Iterator[Pybuild]:
    """Give pybuild with a state root on an overlay, as a container's root is."""
    require("root")
    top = caller.place("overlay")
    names = ("lower", "upper", "work", "merged")
    for name in names:
        caller.tree(top / name)
    options = ",".join(f"{key}dir={top / key}" for key in ("lower", "upper", "work"))

    def mount() -> None:
        syscalls.mount("overlay", str(top / "merged"), "overlay", 0, options)

    with namespaces.entered(mount, caller.user) as identity:
        pybuild = Pybuild(
            top / "merged/root", caller.place(), words=caller.pybuild.words, identity=identity
        )
        pybuild("load", "-q", "-i", caller.base).ok()
        yield pybuild


def test_layers_are_those_of_overlays(anybody: Caller) -> None:
    trees = (line.replace("tree/", f"trees/t{n}/") for n in range(len(STEPS)) for line in TREE)
    context = anybody.context(_dockerfile(), *trees)
    ways = [anybody.fresh({"PYBUILD_SNAPSHOTTER": way}) for way in ("overlay", "copy")]
    overlay, copy = (_layers(pybuild, context) for pybuild in ways)
    assert copy == overlay
    assert len(copy) == 5
    assert os.listdir(ways[0].root).count("state.snapshotter") == 0
    with on_an_overlay(anybody) as pybuild:
        assert _layers(pybuild, context) == overlay
        assert "the store is sound" in pybuild("fsck", "--full").ok().output


def test_what_the_state_root_can_hold_is_found_out_once(as_root: Caller) -> None:
    context = as_root.context("FROM busybox\nRUN echo a > /a\n")
    pybuild = as_root.fresh()
    pybuild.build(context).ok()
    note = pybuild.root / "state.snapshotter"
    assert note.read_text() == "overlay\n"
    note.write_text("copy 1 2\n")  # as of another machine
    pybuild.run("busybox", "true", options=("--network", "none")).ok()
    assert note.read_text() == "overlay\n"
    with on_an_overlay(as_root) as pybuild:
        pybuild.run("busybox", "true", options=("--network", "none")).ok()
        doctor = pybuild("doctor").ok().output
        assert "no  state root as upper" in doctor
        assert "each RUN and each container works on a copy of the image" in doctor


@pytest.fixture(params=["root", "rootless"])
def copying(request: pytest.FixtureRequest) -> Iterator[Pybuild]:
    """Give pybuild on an overlay, with an image `made` that deletes something."""
    caller: Caller = request.getfixturevalue(f"as_{request.param}")
    lines = "RUN touch /a /b && mkdir /d && touch /d/x", "RUN rm -r /a /d && echo b > /b"
    with on_an_overlay(caller) as pybuild, nothing_left(pybuild):
        pybuild.build(caller.context("\n".join(("FROM busybox", *lines))), name="made").ok()
        yield pybuild
        pybuild("rm", "-f", "-a", "-v").ok()


def test_containers_and_shells_work_on_copies(copying: Pybuild) -> None:
    script = "ls -d /a; cat /b; touch /b /new"
    done = copying("shell", "line:3", "sh", "-c", script).ok()
    assert done.output == "b\n"
    assert "/a: No such file" in done.errors
    options = ("--network", "none", "--name", "box")
    script = "ls -d /a /d; cat /b; rm /b; mkdir /new; echo more > /new/f; chmod 700 /home"
    done = copying("run", *options, "made", "sh", "-c", script).ok()
    assert done.output == "b\n"
    assert done.errors.count("No such file") == 2
    changes = {"D /b", "A /new", "A /new/f", "C /home"}
    assert changes <= set(copying("diff", "box").ok().output.splitlines())
    assert copying("commit", "box", "next").ok()
    look = ("sh", "-c", "stat -c %a /home; ls /new; ls -d /b; touch /x")
    done = copying("run", "--rm", "--network", "none", "next", *look).ok()
    assert done.output == "700\nf\n"
    assert "/b: No such file" in done.errors
    done = copying("run", "--rm", "--network", "none", "--read-only", "next", *look)
    assert "/x: Read-only file system" in done.errors
    assert copying("cp", "box:/new/f", copying.cwd / "f").ok()
    assert (copying.cwd / "f").read_text() == "more\n"
    layers = copying.inspect("next")["RootFS"]["Layers"]
    assert layers[:-1] == copying.inspect("made")["RootFS"]["Layers"]
    done = copying("run", "--rm", "--userns", "private", "made", "true")
    assert "has no user ids of its own" in done.errors
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        archive = Path(place) / "next.tar"
        copying("save", "-o", archive, "next").ok()
        copying("rmi", "-f", "next", "made").ok()
        copying("rm", "box").ok()
        copying("prune", "-a", "-f").ok()
        copying("load", "-i", archive).ok()
    assert copying("run", "--rm", "--network", "none", "next", *look).ok().output == "700\nf\n"


def test_what_is_no_way_is_refused(as_root: Caller) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    done = as_root.fresh({"PYBUILD_SNAPSHOTTER": "fuse"})("build", context)
    assert done.status == 2
    assert "PYBUILD_SNAPSHOTTER is overlay or copy, not 'fuse'" in done.errors
