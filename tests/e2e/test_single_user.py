"""An ordinary user with no subordinate ids: owners are recorded, and come out as root's would."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.e2e.cases import FOLDER, read_cases, told
from tests.e2e.test_contexts import base_of, built
from tests.leftovers import nothing_left

CASES = {case.name: case for case in read_cases(FOLDER)}
BUILT = (
    "big-ids", "chown-chmod", "config", "copy-link", "copy-metadata", "hardlinks", "merging",
    "onbuild", "opaque", "times", "users", "volumes", "whiteouts", "workdir",
)  # fmt: skip
"""Cases of fixtures/contexts in which no step looks at the owner of a file, or makes devices."""

OWNERS = """\
FROM busybox AS made
ADD tree.tar /added/
COPY --chown=12:34 file /copied/file
COPY --chown=0:56 file /copied/group
RUN mkdir -m 2775 /m && cd /m && echo 1 > file && ln -s file link && mkfifo pipe && \\
    chown 8:9 . && chown 100:101 file && chown -h 102:103 link && chown 104:105 pipe && \\
    cp file suid && chmod 6755 suid && chown 5:5 suid && cp file root && chown 0:0 root
RUN chown -R 11:12 /added && echo more >> /copied/file && mkdir /m/inherits && rm /m/pipe
USER 77:88
WORKDIR /work/here
RUN id -u && touch mine && ln -s mine also-mine && mkdir below
FROM busybox
COPY --from=made /added /a
COPY --from=made /m /m
COPY --from=made --chown=3 /work /work
RUN echo more >> /m/file && mv /m/link /m/moved
"""
COPIED = "FROM foreign AS f\nFROM busybox\nCOPY --from=f /one /two\n"
TREE = ("dir d 0750 33:44", "file d/f 4755 33:45 text=f", "link d/l -> f", "pack tree.tar = d",
        "file file text=x")  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_what_anybody_can_build_is_built(as_single: Caller, name: str) -> None:
    with nothing_left(as_single.pybuild):
        image = built(as_single, CASES[name])
    assert told(image, base_of(as_single), times=CASES[name].times) == CASES[name].expected


def test_the_layers_are_those_that_root_makes(
    as_single: Caller, as_rootless: Caller, as_root: Caller
) -> None:
    packed = as_root.context("", *TREE) / "tree.tar"
    found = {
        caller.kind: [layers_of(caller, target, OWNERS, packed) for target in ("made", "")]
        for caller in (as_root, as_rootless, as_single)
    }
    assert found["single"] == found["rootless"] == found["root"]


def layers_of(
    caller: Caller, target: str, dockerfile: str, packed: Path | None = None
) -> list[str]:
    """Build, and return the diff IDs above the base."""
    context = caller.context(dockerfile, "file file text=x")
    if packed is not None:
        data = packed.read_bytes()
        caller.perform(lambda: (context / "tree.tar").write_bytes(data))
    options = ["--source-date-epoch", "1000000000", *(["--target", target] if target else [])]
    with nothing_left(caller.pybuild):
        caller.pybuild.build(context, *options, name="owned").ok()
    layers, below = (
        caller.pybuild.inspect(name)["RootFS"]["Layers"] for name in ("owned", "busybox")
    )
    return list(layers[len(below) :])


def test_what_is_not_attributed_is_said(as_single: Caller) -> None:
    lines = "RUN echo 'touch /tmp/a' | su -s /bin/sh daemon"
    done = as_single.pybuild.build(as_single.context(f"FROM busybox\n{lines}\n"))
    assert "pybuild: a process became user 1; new files of its will not belong" in done.errors


def test_a_container_runs(as_single: Caller) -> None:
    with nothing_left(as_single.pybuild):
        done = as_single.pybuild.run("busybox", "sh", "-c", "id -u; echo x > /new && cat /new")
    assert (done.status, done.output) == (0, "0\nx\n")


def test_a_container_runs_as_somebody_else(as_single: Caller) -> None:
    with nothing_left(as_single.pybuild):
        done = as_single.pybuild.run("busybox", "id", options=["-u", "1:2"])
    assert done.status == 0, done.errors
    assert done.output == "uid=1(daemon) gid=2 groups=2\n"


def test_a_container_gives_files_away(as_single: Caller) -> None:
    pybuild = as_single.pybuild
    with nothing_left(pybuild):
        options = ["--name", "giver", "-u", "5:6"]
        pybuild("run", "-d", *options, "busybox", "sleep", "100").ok()
        pybuild("exec", "giver", "touch", "/tmp/mine").ok()
        pybuild("exec", "-u", "0", "giver", "sh", "-c", "touch /given && chown 3:4 /given").ok()
        pybuild("commit", "giver", "given").ok()
        pybuild("rm", "-f", "giver").ok()
    place = as_single.place() / "given.tar"
    context = as_single.context("FROM given\n")
    pybuild.build(context, "-o", f"type=tar,dest={place}").ok()
    with tarfile.open(place) as archive:
        members = [archive.getmember(name) for name in ("given", "tmp/mine", "tmp")]
    assert [(one.uid, one.gid) for one in members] == [(3, 4), (5, 6), (0, 0)]


def test_an_image_with_files_of_others_is_taken_and_given_back(
    as_single: Caller, as_root: Caller
) -> None:
    foreign = as_root.context("FROM busybox\nRUN touch /one && chown 1:1 /one\n")
    as_root.pybuild.build(foreign, name="foreign").ok()
    archive = as_root.place("saved") / "foreign.tar"
    as_root.pybuild("save", "-o", archive, "foreign").ok()

    with nothing_left(as_single.pybuild):
        as_single.pybuild("load", stdin=archive.read_bytes()).ok()
    back = as_single.place() / "back.tar"
    as_single.pybuild("save", "-o", back, "foreign").ok()
    assert _manifest(back) == _manifest(archive)
    assert layers_of(as_single, "", COPIED) == layers_of(as_root, "", COPIED)


def _manifest(archive: Path) -> object:
    with tarfile.open(archive) as tar:
        found = tar.extractfile("manifest.json")
        assert found is not None
        return json.load(found)


def test_changes_to_what_belongs_to_others_are_thrown_away(as_single: Caller) -> None:
    script = "touch /o/new && ls /o/new; ls /o | wc -l"
    with nothing_left(as_single.pybuild):
        done = as_single.pybuild("run", "--rm", "-v", "/usr:/o:O", "busybox", "sh", "-c", script)
    assert done.ok().output.split() == ["/o/new", str(len(os.listdir("/usr")) + 1)]
    assert not os.path.exists("/usr/new")
