"""docs/runtime.md: each row of its tables, tried."""

import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from tests import kernel
from tests.callers import Caller
from tests.program import TOP

PAGE = TOP / "docs/runtime.md"
PROBE = TOP / "fixtures/runtime/probe.sh"
_IMAGES: dict[tuple[str, str], str] = {}


@cache
def table(name: str) -> tuple[Mapping[str, str], ...]:
    """Return the rows of a table of the page, by the heads of the columns."""
    after = PAGE.read_text(encoding="utf-8").partition(f"<!-- table: {name} -->\n")[2]
    lines = after.partition("\n\n")[0].splitlines()
    rows = [
        [cell.strip().replace("\0", "|") for cell in line.replace(r"\|", "\0").split("|")[1:-1]]
        for line in lines
        if line.startswith("|")
    ]
    return tuple(dict(zip(rows[0], row, strict=True)) for row in rows[2:])


def code(cell: str) -> str:
    """Return what stands between the first and the last back-tick."""
    return cell.removeprefix("`").removesuffix("`")


@pytest.mark.parametrize("row", table("expectations"), ids=lambda row: row["expectation"])
def test_what_an_image_and_the_specification_promise_holds(
    caller: Caller, row: Mapping[str, str]
) -> None:
    image = built(caller, row["image"])
    options = shlex.split(code(row["options"]))
    script = code(row["command"])
    command = ["sh", "-c", script] if script else []
    network = [] if "--sysctl" in options else ["--network", "none"]
    done = caller.pybuild("run", "--rm", *network, *options, image, *command)
    assert " ".join(done.output.split()) == code(row["prints"]), done.errors


def built(caller: Caller, lines: str) -> str:
    """Return an image of busybox with the instructions between back-ticks."""
    if not lines:
        return "busybox"
    key = (caller.kind, lines)
    if key not in _IMAGES:
        instructions = "\n".join(part for part in lines.split("`") if part.strip())
        name = f"page{len(_IMAGES)}"
        caller.pybuild.build(caller.context(f"FROM busybox\n{instructions}\n"), name=name).ok()
        _IMAGES[key] = name
    return _IMAGES[key]


def test_every_difference_to_podman_has_its_reason(as_root: Caller) -> None:
    kernel.require("podman")
    ours = as_root.pybuild("run", "--rm", "-i", "busybox", "sh", "-s", stdin=PROBE.read_bytes())
    # Podman takes no long path, and pytest's are.
    with tempfile.TemporaryDirectory(prefix="pyb-") as place:
        theirs = by_podman(as_root, Path(place))
    mine = set(ours.ok().output.splitlines())
    assert len(mine) > 80
    known = tuple(code(row["line"]) for row in table("differences"))
    different = sorted(mine ^ set(theirs.splitlines()))
    assert [line for line in different if not line.startswith(known)] == []


def by_podman(caller: Caller, place: Path) -> str:
    """Return what the probe says in podman, on a store of its own."""
    archive = place / "base.tar"
    caller.pybuild("save", "--format", "docker-archive", "-o", archive, "busybox").ok()
    # crun 1.8 takes no hybrid control groups, and no more limits than the caller has.
    script = """
        test -e /sys/fs/cgroup/cgroup.controllers || mount -t cgroup2 none /sys/fs/cgroup
        podman="podman --root $1/root --runroot $1/run --cgroup-manager cgroupfs"
        $podman load -q -i $1/base.tar >&2 || exit
        limits="--ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
        $podman run --rm -i --cgroups=disabled $limits localhost/busybox sh -s
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", place],
        input=PROBE.read_bytes(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        pytest.skip(f"podman cannot run here: {done.stderr.decode()[-200:]}")
    return done.stdout.decode()
