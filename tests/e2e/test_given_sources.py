"""The option `U` of mounts: their sources are given to the user of the container."""

import os
from collections.abc import Iterator

import pytest

from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Pybuild

TREE = (
    "dir of/deep",
    "file of/deep/file 4755 text=x",
    "link of/out -> ../kept/file",
    "fifo of/pipe",
    "file kept/file text=x",
)
LOOK = "cd /m; stat -c %u:%g:%a . deep deep/file; stat -c %u:%g out pipe; touch mine"
NONE = ("--network", "none")
DEEP = 300


@pytest.fixture(scope="module", params=["root", "rootless"])
def given(request: pytest.FixtureRequest) -> Iterator[tuple[Caller, Pybuild]]:
    """Give a caller and pybuild on a new store, in which nothing of containers is left."""
    caller: Caller = request.getfixturevalue(f"as_{request.param}")
    program = caller.fresh()
    with nothing_left(program):
        yield caller, program
        program("rm", "-f", "-a", "-v").ok()


def test_all_that_is_in_a_source_is_given_and_nothing_else(
    given: tuple[Caller, Pybuild],
) -> None:
    caller, pybuild = given
    place = caller.tree(caller.place(), *TREE)
    before = (place / "kept/file").stat()
    options = ("--rm", *NONE, "-u", "5:6", "-v", f"{place}/of:/m:U")
    done = pybuild("run", *options, "busybox", "sh", "-c", LOOK).ok()
    # The kernel clears set-id bits for a new owner.
    assert done.output.split() == ["5:6:755", "5:6:755", "5:6:755", "5:6", "5:6"]
    after = (place / "kept/file").stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_each_start_gives_anew_and_others_are_not_meant(given: tuple[Caller, Pybuild]) -> None:
    _caller, pybuild = given
    mount = "type=volume,source=v,target=/m,U=true"
    look = ("busybox", "stat", "-c", "%u", "/m")
    pybuild("run", "--name", "one", *NONE, "-u", "5", "--mount", mount, *look).ok()
    other = ("run", "--rm", *NONE, "-u", "7", "--volumes-from", "one", *look)
    assert pybuild(*other).ok().output == "5\n"
    pybuild("run", "--rm", *NONE, "-v", "v:/m", "busybox", "chown", "9", "/m").ok()
    assert pybuild("start", "-a", "one").ok().output == "5\n"


def test_ids_of_its_own_are_heeded(given: tuple[Caller, Pybuild]) -> None:
    caller, pybuild = given
    place = caller.tree(caller.place(), "file file text=x")
    ids = ("--uidmap", "0:200000:1000") if caller.kind == "root" else ("--userns", "keep-id")
    shown = ("-v", f"{place}:/m:U", "-v", "mapped:/v:U")
    script = "stat -c %u /m /m/file /v; touch /m/new /v/new && echo wrote"
    done = pybuild("run", "--rm", *NONE, *ids, "-u", "7", *shown, "busybox", "sh", "-c", script)
    assert done.ok().output.split() == ["7", "7", "7", "wrote"]
    left_out = ("--rm", *NONE, *ids, "-u", "4000000", "-v", f"{place}:/m:U", "busybox", "true")
    done = pybuild("run", *left_out)
    assert (done.status, "the ids of the container leave out its user" in done.errors) == (
        125,
        True,
    )


def test_deep_trees_are_given(as_root: Caller) -> None:
    place = as_root.tree(as_root.place(), f"dir {'/'.join('d' * DEEP)}")
    options = ("--rm", *NONE, "-u", "5", "-v", f"{place}:/m:U", "busybox", "true")
    as_root.pybuild("run", *options).ok()
    assert {os.lstat(path).st_uid for path, _, _ in os.walk(place)} == {5}


def test_what_belongs_to_others_is_not_given_by_an_ordinary_user(as_rootless: Caller) -> None:
    options = ("--rm", *NONE, "-u", "5", "-v", "/etc/hosts:/m:U", "busybox", "true")
    done = as_rootless.pybuild("run", *options)
    reason = "ERROR: cannot give /etc/hosts to 5:0: operation not permitted"
    assert (done.status, done.errors.splitlines()[0]) == (125, reason)


def test_with_one_id_there_is_nothing_to_give(as_single: Caller) -> None:
    place = as_single.tree(as_single.place(), "file file 0600 text=x")
    options = ("--rm", *NONE, "-u", "5", "-v", f"{place}:/m:U", "busybox", "cat", "/m/file")
    assert as_single.pybuild("run", *options).ok().output == "x"
    assert place.stat().st_uid == (place / "file").stat().st_uid
