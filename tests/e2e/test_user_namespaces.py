"""Containers with ids of their own: `run --userns` and the options for maps."""

import os
import pwd
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import syscalls
from tests import namespaces
from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Pybuild

DOCKERFILE = """\
FROM busybox
RUN mkdir -p /own/vol && touch /own/vol/f && chown -R 5:6 /own && chmod 4711 /own/vol/f
"""
LOOK = "id -u; stat -c %u:%g:%a / /own /own/vol/f; touch /tmp/x; stat -c %u /tmp/x"
NONE = ("--network", "none")


@pytest.fixture(scope="module", params=["root", "rootless"])
def pybuild(request: pytest.FixtureRequest) -> Iterator[Pybuild]:
    """Give pybuild on a store with the image `own`; nothing is left of containers in the end."""
    caller: Caller = request.getfixturevalue(f"as_{request.param}")
    program = caller.fresh()
    program.build(caller.context(DOCKERFILE), name="own").ok()
    with nothing_left(program):
        yield program
        program("rm", "-f", "-a", "-v").ok()


def is_root(pybuild: Pybuild) -> bool:
    return os.geteuid() == 0 and "user" not in pybuild.identity


def ours(pybuild: Pybuild) -> tuple[str, ...]:
    """Return options that give other ids to a container, and let it run as its root."""
    if is_root(pybuild):
        return ("--uidmap", "0:200000:65536")
    return ("--userns", "keep-id", "-u", "0")


def test_files_have_their_owners_whatever_the_ids(pybuild: Pybuild) -> None:
    modes = [("--userns=private",), ("--uidmap=0:1:3000", "--gidmap=0:2:3000")]
    if not is_root(pybuild):
        modes += [("--userns=nomap",), ("--userns=auto",)]
    for options in modes:
        script = f"{LOOK}; cat /proc/self/uid_map"
        done = pybuild("run", "--rm", *NONE, *options, "own", "sh", "-c", script).ok()
        lines = done.output.splitlines()
        assert lines[:5] == ["0", "0:0:755", "5:6:755", "5:6:4711", "0"], options
        if "private" not in options[0]:
            assert lines[5].split()[:2] == ["0", "1"]


def test_another_image_has_its_owners_where_the_kernel_maps_ids(pybuild: Pybuild) -> None:
    script = "stat -c %u:%g /m/vol; touch /m/x 2>/dev/null || echo no"
    options = (*NONE, *ours(pybuild), "--mount", "type=image,source=own,target=/m,subpath=own")
    done = pybuild("run", "--rm", *options, "busybox", "sh", "-c", script).ok()
    # The ordinary user is inside what 0 is outside, and the ids above move down by one.
    assert done.output.split() == ["5:6" if is_root(pybuild) else "4:5", "no"]


def test_what_is_set_of_a_process_is_set(pybuild: Pybuild) -> None:
    options = ("--oom-score-adj", "7", "--ulimit", "nofile=77", "--sysctl", "net.ipv4.ip_forward=1")
    script = "cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward; ulimit -n"
    for mode in (ours(pybuild), ("--userns", "private")):
        done = pybuild("run", "--rm", *NONE, *mode, *options, "own", "sh", "-c", script).ok()
        assert done.output.split() == ["7", "1", "77"]


def test_a_part_of_a_volume_has_the_owners_of_the_volume(pybuild: Pybuild) -> None:
    script = "touch /m/vol/x; stat -c %u:%g /m/vol/f /m/vol/x"
    options = ("--rm", *NONE, *ours(pybuild))
    whole = pybuild("run", *options, "-v", "parts:/m", "own", "cp", "-a", "/own/vol", "/m").ok()
    part = "source=parts,target=/m/vol,volume-subpath=vol"
    done = pybuild("run", *options, "--mount", part, "own", "sh", "-c", script).ok()
    assert (whole.output, done.output.split()) == ("", ["5:6", "0:0"])


def test_changes_that_are_thrown_away_have_the_owners_of_the_container(pybuild: Pybuild) -> None:
    options = ("--rm", *NONE, *ours(pybuild), "-v", "seeded:/own:O")
    script = "touch /own/vol/new; chown 7:8 /own/vol/f; stat -c %u:%g /own/vol/f /own/vol/new"
    for _ in range(2):
        done = pybuild("run", *options, "own", "sh", "-c", f"ls /own/vol; {script}").ok()
        assert done.output.split() == ["f", "7:8", "0:0"]


def test_an_ordinary_user_can_be_the_same_inside(as_rootless: Caller) -> None:
    place = as_rootless.tree(as_rootless.place(), "file mine text=x")
    user = place.stat().st_uid
    pybuild = as_rootless.pybuild
    script = "id -u; id -un; stat -c %u /bin/busybox /m/mine; touch /m/made; echo $HOME"
    options = (*NONE, "--userns", "keep-id", "-v", f"{place}:/m")
    done = pybuild("run", "--rm", *options, "busybox", "sh", "-c", script).ok()
    name = pwd.getpwuid(user).pw_name
    assert done.output.split() == [str(user), name, "0", str(user), "/"]
    assert (place / "made").stat().st_uid == user
    options = (*NONE, "--userns", "keep-id:uid=7,gid=8", "-v", f"{place}:/m")
    done = pybuild("run", "--rm", *options, "busybox", "stat", "-c", "%u:%g", "/m/made").ok()
    assert done.output == "7:8\n"


def test_what_it_wrote_comes_out_with_the_owners_inside(pybuild: Pybuild) -> None:
    up = pybuild.cwd / "up"
    options = ("-d", "--name", "box", *NONE, *ours(pybuild), "-v", "named:/own/vol")
    pybuild("run", *options, "own", "sleep", "1000").ok()
    try:
        script = "touch /made /own/vol/new; chown 9:9 /made; chmod 4755 /made; rm /etc/group"
        pybuild("exec", "box", "sh", "-c", script).ok()
        pybuild("exec", "-u", "5", "box", "cat", "/etc/passwd").ok()
        pybuild("cp", "box:/etc/passwd", "-").ok()
        look = ("exec", "box", "stat", "-c", "%u:%g:%a", "/made", "/own/vol/f", "/own/vol/new")
        assert pybuild(*look).ok().output == "9:9:4755\n5:6:4711\n0:0:644\n"
        with_tar(pybuild, up)
        pybuild("restart", "-t", "0", "box").ok()
        assert pybuild("exec", "box", "stat", "-c", "%u:%g", "/put").ok().output == "3:4\n"
        pybuild("stop", "-t", "0", "box").ok()
        with_tar(pybuild, up)
        pybuild("export", "-o", up, "box").ok()
        with tarfile.open(up) as tar:
            owners = {one.name: (one.uid, one.gid) for one in tar}
        assert owners["put"] == (3, 4)
        assert owners["made"] == (9, 9)
        assert owners["own/vol/f"] == (5, 6)
        assert "etc/group" not in owners
        pybuild("commit", "box", "made").ok()
        show = ("stat", "-c", "%u:%g:%a", "/made", "/put")
        done = pybuild("run", "--rm", *NONE, "made", *show).ok()
        assert done.output == "9:9:4755\n3:4:644\n"
        assert "user ids of its own" in pybuild("diff", "box", "own").errors
    finally:
        pybuild("rm", "-f", "box").ok()


def with_tar(pybuild: Pybuild, path: Path) -> None:
    """Put a file of user 3 and group 4 into the container."""
    member = tarfile.TarInfo("put")
    member.uid, member.gid = 3, 4
    data = member.tobuf() + bytes(1024)
    pybuild("cp", "-", "box:/", stdin=data).ok()


def test_its_root_is_nobody_outside(pybuild: Pybuild) -> None:
    script = (
        "mkdir /t; mount -t tmpfs x /t && echo mounted; mknod /sd b 254 0; mount -o remount,dev /"
    )
    options = ("--rm", *ours(pybuild), "--privileged", *NONE)
    done = pybuild("run", *options, "own", "sh", "-c", script)
    assert done.output == "mounted\n"
    assert "mknod: /sd: Operation not permitted" in done.errors
    options = ("--rm", *ours(pybuild), "--read-only", *NONE)
    script = "touch /x 2>/dev/null || echo no; touch /tmp/x && stat -c %u /tmp/x"
    assert pybuild("run", *options, "own", "sh", "-c", script).ok().output == "no\n0\n"


def test_automatic_ids_are_those_of_nobody_else(as_rootless: Caller) -> None:
    pybuild = as_rootless.fresh()
    firsts = []
    for _ in range(2):
        made = pybuild("create", "--userns", "auto:size=2000", "busybox", "true").ok().output
        (mapped,) = pybuild.inspect(made.strip())["HostConfig"]["IDMappings"]["UidMap"]
        firsts.append(mapped)
    assert firsts == ["0:1:2000", "0:2001:2000"]
    done = pybuild("create", "--userns", "auto:size=65000", "busybox", "true")
    assert "there are no 65000 ids in a row that no container has" in done.errors
    pybuild("rm", "-f", "-a").ok()


def test_root_hands_out_what_is_set_aside_for_containers(as_root: Caller) -> None:
    place = as_root.place()
    as_root.write(place / "subids", "containers:2147483647:2147483648\n")

    def show() -> None:
        for path in ("/etc/subuid", "/etc/subgid"):
            syscalls.mount(str(place / "subids"), path, None, syscalls.MS_BIND)

    with namespaces.entered(show, None) as identity:
        base = as_root.fresh()
        pybuild = Pybuild(base.root, base.cwd, words=base.words, identity=identity)
        forced = "auto:size=3000,uidmapping=5:0:1"
        maps = []
        for mode in ("auto", forced):
            made = pybuild("create", "--userns", mode, "busybox", "true").ok().output
            maps.append(pybuild.inspect(made.strip())["HostConfig"]["IDMappings"]["UidMap"])
        assert maps[0] == ["0:2147483647:1024"]
        assert maps[1] == ["0:2147484671:5", "5:0:1", "6:2147484676:2994"]
        show_map = ("cat", "/proc/self/uid_map")
        done = pybuild("run", "--rm", *NONE, "--subuidname", "containers", "busybox", *show_map)
        assert done.ok().output.split() == ["0", "2147483647", "2147483648"]
        pybuild("rm", "-f", "-a").ok()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("root", ("--userns=keep-id",), "--userns=keep-id is for ordinary users"),
        ("root", ("--subuidname=nobody-has-this",), "has no ids for 'nobody-has-this'"),
        ("rootless", ("--subuidname=x",), "are for root"),
        ("rootless", ("--uidmap=0:1:300000000",), "are not all yours"),
        ("single", ("--userns=keep-id",), "no subordinate ids to give to a container"),
    ],
)
def test_ids_that_nobody_has_are_refused(
    kind: str, options: tuple[str, ...], message: str, request: pytest.FixtureRequest
) -> None:
    caller: Caller = request.getfixturevalue(f"as_{kind}")
    done = caller.pybuild("run", "--rm", *options, "busybox", "true")
    assert done.status == 125
    assert message in done.errors
    assert not os.listdir(caller.pybuild.root / "tmp")


PLACES = "cd /proc/self/ns; readlink user; readlink net; stat -c %u /; cat /proc/self/uid_map"


def places(pybuild: Pybuild, *command: str) -> list[str]:
    """Return user and network namespace, whose the root is, and the map, as a container says."""
    return pybuild(*command, "sh", "-c", PLACES).ok().output.split()


def test_the_namespace_of_another_container_is_shared(pybuild: Pybuild) -> None:
    pybuild("run", "-d", "--name", "x", *NONE, *ours(pybuild), "own", "sleep", "1000").ok()
    mine = places(pybuild, "exec", "x")
    share = ("run", "--rm", "--userns", "container:x")
    found = places(pybuild, *share, *NONE, "own")
    assert (found[0], found[2:]) == (mine[0], mine[2:])
    assert found[1] != mine[1]
    together = ("--network", "container:x", "--ipc", "container:x")
    assert places(pybuild, *share, *together, "own") == mine
    pybuild("create", "--name", "y", *NONE, *share[2:], "own", "sh", "-c", PLACES).ok()
    pybuild("restart", "-t", "0", "x").ok()
    assert pybuild("start", "-a", "y").ok().output.split()[0] == places(pybuild, "exec", "x")[0]
    pybuild("stop", "-t", "0", "x").ok()
    assert "whose user namespace is to be shared, does not run" in pybuild("start", "y").errors
    pybuild("rm", "-f", "x", "y").ok()


def test_a_namespace_is_shared_by_its_path_while_its_ids_stay(as_root: Caller) -> None:
    pybuild = as_root.pybuild
    with nothing_left(pybuild):
        pybuild("run", "-d", "--name", "p", *NONE, *ours(pybuild), "busybox", "sleep", "1000").ok()
        path = as_root.place() / "user"
        path.symlink_to(f"/proc/{pybuild.inspect('p')['State']['Pid']}/ns/user")
        mode = ("--userns", f"ns:{path}")
        pybuild("create", "--name", "q", *NONE, *mode, "busybox", "sh", "-c", PLACES).ok()
        mine = places(pybuild, "exec", "p")
        assert pybuild("start", "-a", "q").ok().output.split()[0] == mine[0]
        other = ("--name", "o", *NONE, "--uidmap", "0:300000:10", "busybox", "sleep", "1000")
        pybuild("run", "-d", *other).ok()
        path.unlink()
        path.symlink_to(f"/proc/{pybuild.inspect('o')['State']['Pid']}/ns/user")
        errors = pybuild("start", "-a", "q").errors
        assert "its ids are not those that the container was made for" in errors
        pybuild("rm", "-f", "o", "p", "q").ok()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--userns", "container:nobody"), "there is no container 'nobody'"),
        (("--userns", "ns:/proc/self/ns/user"), "is your own"),
        (("--userns", "ns:/proc/self/ns/net"), "it is one of another kind"),
        (("--userns", "container:x", "--ipc", "container:y"), "exclude each other"),
    ],
)
def test_a_namespace_that_cannot_be_shared_is_refused(
    pybuild: Pybuild, options: tuple[str, ...], message: str
) -> None:
    done = pybuild("run", "--rm", *NONE, *options, "busybox", "true")
    assert (done.status, message in done.errors) == (125, True), done.errors


def test_who_has_no_namespace_of_its_own_has_none_to_share(pybuild: Pybuild) -> None:
    pybuild("create", "--name", "host", *NONE, "busybox", "true").ok()
    done = pybuild("run", "--rm", *NONE, "--userns", "container:host", "busybox", "true")
    assert "container host has no user namespace of its own" in done.errors
    pybuild("rm", "host").ok()
