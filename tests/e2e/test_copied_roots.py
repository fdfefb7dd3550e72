"""RUN on copies instead of overlays: the layers are the same."""

import json
from pathlib import Path

from tests.callers import Caller
from tests.kernel import require
from tests.program import PROGRAM, Pybuild

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


def test_layers_are_those_of_overlays(anybody: Caller) -> None:
    trees = (line.replace("tree/", f"trees/t{n}/") for n in range(len(STEPS)) for line in TREE)
    context = anybody.context(_dockerfile(), *trees)
    ways = [anybody.fresh({"PYBUILD_SNAPSHOTTER": way}) for way in ("overlay", "copy")]
    overlay, copy = (_layers(pybuild, context) for pybuild in ways)
    assert copy == overlay
    assert len(copy) == 5


def test_what_is_no_way_is_refused(as_root: Caller) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    done = as_root.fresh({"PYBUILD_SNAPSHOTTER": "fuse"})("build", context)
    assert done.status == 2
    assert "PYBUILD_SNAPSHOTTER is overlay or copy, not 'fuse'" in done.errors


ON_AN_OVERLAY = """
mkdir -p lower upper work place && mount -t overlay overlay \\
    -o lowerdir=lower,upperdir=upper,workdir=work place && exec "$@"
"""


def test_a_state_root_on_an_overlay_will_do_for_what_deletes_nothing(
    as_root: Caller, tmp_path: Path
) -> None:
    require("root")
    inside = ("unshare", "-m", "sh", "-c", ON_AN_OVERLAY, "sh")
    words = (*inside, *PROGRAM)
    pybuild = Pybuild(
        tmp_path / "place/root", tmp_path, {"PYBUILD_SNAPSHOTTER": "copy"}, words=words
    )
    pybuild("load", "-q", "-i", as_root.base).ok()
    context = as_root.context("FROM busybox\nRUN echo a > /a\nRUN cat /a && echo b >> /a\n")
    pybuild("build", "-t", "made", context).ok()

    context = as_root.context("FROM busybox\nRUN echo a > /a\nRUN rm /a\n")
    done = pybuild("build", context)
    assert done.status == 1
    assert "cannot hold deletions, such as of 'a'" in done.errors
