"""Options of `run` about what a container is given: volumes, variables, a place, limits, files."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import kernel
from tests.callers import Caller
from tests.kernel import needs_cgroups
from tests.leftovers import nothing_left
from tests.program import Pybuild

NONE = ("--network", "none")
LEFT_OUT = Path(__file__).resolve().parents[2] / "docs/runtime.md"


@pytest.fixture(scope="module")
def pybuild(as_root: Caller) -> Iterator[Pybuild]:
    """Give pybuild on a new store; nothing is left of containers in the end."""
    program = as_root.fresh({"MINE": "host"})
    with nothing_left(program):
        yield program
        program("rm", "-f", "-a", "-v").ok()


def said(pybuild: Pybuild, script: str, *options: str) -> list[str]:
    """Return the lines of what a shell in a container says."""
    options = options if "--network" in options else (*NONE, *options)
    done = pybuild("run", "--rm", *options, "busybox", "/bin/sh", "-c", script).ok()
    return done.output.splitlines()


def refused(pybuild: Pybuild, *options: str) -> str:
    """Return why a container cannot be."""
    done = pybuild("run", "--rm", *options, "busybox", "true")
    assert done.status == 125, options
    return done.errors


def test_volumes_of_another_container_are_shown(pybuild: Pybuild, as_root: Caller) -> None:
    place = as_root.tree(as_root.place(), "file mine text=mine")
    options = ("-v", "named:/a", "-v", "/anon", "-v", f"{place}:/bind:ro", "--tmpfs", "/t")
    script = "echo 1 > /a/f; echo 2 > /anon/f"
    pybuild("run", "--name", "v", *NONE, *options, "busybox", "sh", "-c", script).ok()
    script = "cat /a/f /anon/f /bind/mine; echo; touch /a/w && echo w; touch /bind/w || ls -d /t"
    found = said(pybuild, f"({script}) 2>/dev/null; true", "--volumes-from", "v")
    assert found == ["1", "2", "mine", "w"]
    assert said(pybuild, "touch /a/x 2>/dev/null || echo no", "--volumes-from", "v:ro") == ["no"]
    # Its own mount comes before that of another.
    assert said(pybuild, "ls /a", "--volumes-from", "v", "--tmpfs", "/a") == []
    assert "the form is CONTAINER" in refused(pybuild, "--volumes-from", "v:x")
    assert "there is no container" in refused(pybuild, "--volumes-from", "x")
    pybuild("rm", "-v", "v").ok()
    assert pybuild("volume", "ls", "-q").ok().output == "named\n"


def test_variables_of_host_image_and_user_are_told_apart(pybuild: Pybuild) -> None:
    assert said(pybuild, "echo $MINE $A", "--env-host", "-e", "A=own") == ["host own"]
    assert said(pybuild, "echo $MINE") == [""]
    assert "HOSTNAME=box" in said(pybuild, "env", "--hostname", "box")
    assert "HOSTNAME=box" not in said(pybuild, "env", "--hostname", "box", "--unsetenv", "HOSTNAME")
    bare = ("run", "--rm", *NONE, "--unsetenv-all", "-e", "A=own", "busybox", "/bin/env")
    assert pybuild(*bare).ok().output == "A=own\nHOME=/root\n"


def test_variables_are_made_of_others(pybuild: Pybuild) -> None:
    merge = ("--env-merge", "PATH=/own:${PATH}", "--env-merge", "B=<$NONE>")
    assert said(pybuild, "echo $PATH $B", *merge)[0].startswith("/own:/usr/local/sbin:")
    assert said(pybuild, "echo $B", *merge) == ["<>"]


@pytest.mark.parametrize("kind", ["bind", "tmpfs", "ignore"])
def test_volumes_of_the_image_become_what_is_asked_for(
    pybuild: Pybuild, as_root: Caller, kind: str
) -> None:
    pybuild.build(as_root.context("FROM busybox\nVOLUME /v\n"), name="volumes").ok()
    options = ("--rm", *NONE, "--image-volume", kind)
    done = pybuild("run", *options, "volumes", "grep", "-c", " /v ", "/proc/mounts")
    assert done.output == ("0\n" if kind == "ignore" else "1\n")
    done = pybuild("run", *options, "volumes", "grep", "-c", "tmpfs /v ", "/proc/mounts")
    assert done.output == ("1\n" if kind == "tmpfs" else "0\n")


def test_a_read_only_root_can_be_so_everywhere(pybuild: Pybuild) -> None:
    script = "touch /tmp/x 2>/dev/null && echo yes || echo no"
    assert said(pybuild, script, "--read-only") == ["yes"]
    assert said(pybuild, script, "--read-only", "--read-only-tmpfs=false") == ["no"]


def test_a_platform_can_be_told_in_parts(pybuild: Pybuild) -> None:
    machine = os.uname().machine
    assert said(pybuild, "uname -m", "--arch", machine, "--os", "linux", "--pull=never") == [
        machine
    ]
    assert ", not for linux/s390x" in refused(pybuild, "--arch", "s390x", "--pull", "never")


def test_files_are_the_image_s_or_the_machine_s(pybuild: Pybuild, as_root: Caller) -> None:
    assert said(pybuild, "cat /etc/hosts 2>/dev/null || echo none", "--no-hosts") == ["none"]
    if Path("/usr/share/zoneinfo/Europe/Berlin").exists():
        assert said(pybuild, "date -d @0 +%Z%H", "--tz", "Europe/Berlin") == ["CET01"]
    path = as_root.place() / "pid"
    options = ("-d", "--name", "p", *NONE, "--pidfile", path, "--annotation", "a=b")
    pybuild("run", *options, "busybox", "sleep", "1000").ok()
    shown = pybuild.inspect("p")
    assert int(path.read_text()) == shown["State"]["Pid"]
    assert shown["Config"]["Annotations"] == {"a": "b"}
    pybuild("rm", "-f", "p").ok()
    assert os.listdir(path.parent) == []


def test_a_place_on_the_bridge_can_be_chosen(pybuild: Pybuild) -> None:
    kernel.require("bridge")
    # Names that nobody has who is on the bridge for another test.
    pybuild("run", "-d", "--name", "besides", "busybox", "sleep", "1000").ok()
    network = pybuild.inspect("besides")["NetworkSettings"]["IPAddress"].rpartition(".")[0]
    mac = "02:42:0a:57:00:4d"
    place = ("--ip", f"{network}.234", "--mac-address", mac, "--network-alias", "placed-too")
    pybuild("run", "-d", "--name", "placed", *place, "busybox", "sleep", "1000").ok()
    assert pybuild.inspect("placed")["NetworkSettings"]["IPAddress"] == f"{network}.234"
    look = pybuild("exec", "placed", "ip", "addr", "show", "eth0").ok().output
    assert f"inet {network}.234/24" in look
    assert mac in look
    assert (
        "1 packets received" in pybuild("exec", "besides", "ping", "-c1", "placed-too").ok().output
    )
    assert "is in use" in refused(pybuild, "--ip", f"{network}.234")
    assert "is none of the bridge" in refused(pybuild, "--ip", "198.51.100.7")
    pybuild("rm", "-f", "besides", "placed").ok()


@needs_cgroups
def test_limits_are_written_into_the_group(pybuild: Pybuild) -> None:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        files = {"cpu.weight": "20", "cpu.max": "50000 200000", "memory.low": "33554432"}
        options = ["--memory-reservation", "32m"]
    else:
        files = {
            "memory/memory.soft_limit_in_bytes": "33554432",
            "memory/memory.swappiness": "7",
            "cpu/cpu.shares": "512",
            "cpu/cpu.cfs_quota_us": "50000",
            "cpu/cpu.cfs_period_us": "200000",
            "cpuset/cpuset.mems": "0",
        }
        options = ["--memory-reservation", "32m", "--memory-swappiness", "7", "--cpuset-mems", "0"]
    options += ["--cpu-shares", "512", "--cpu-quota", "50000", "--cpu-period", "200000"]
    script = "cd /sys/fs/cgroup && cat " + " ".join(files) + "; cat /proc/self/oom_score_adj"
    found = said(pybuild, script, *options, "--oom-score-adj", "500")
    assert found == [*files.values(), "500"]


@needs_cgroups
def test_a_group_above_is_made_and_goes(pybuild: Pybuild) -> None:
    options = ("--cgroup-parent", "/pybuild-test/deep", "--cgroupns", "host")
    found = said(pybuild, "cat /proc/self/cgroup", *options)
    assert any(":/pybuild-test/deep/" in line for line in found)
    assert not list(Path("/sys/fs/cgroup").glob("**/pybuild-test"))


def test_a_group_that_cannot_be_made_is_told(as_rootless: Caller) -> None:
    done = as_rootless.pybuild("run", "--rm", *NONE, "--cgroup-parent", "/x", "busybox", "true")
    assert done.status == 125
    assert "a control group" in done.errors


@pytest.mark.parametrize(("action", "code"), [("kill", 137), ("stop", 143)])
def test_what_is_not_well_can_be_ended(pybuild: Pybuild, action: str, code: int) -> None:
    check = ("--health-cmd", "false", "--health-interval", "100ms", "--health-retries", "1")
    options = ("--rm", *NONE, *check, "--health-on-failure", action)
    assert pybuild("run", *options, "busybox", "sleep", "1000").status == code


def test_lines_of_a_log_can_have_the_container_s_name(pybuild: Pybuild) -> None:
    pybuild("run", "--name", "talks", *NONE, "busybox", "sh", "-c", "echo a; echo b").ok()
    assert pybuild("logs", "--names", "talks").ok().output == "talks a\ntalks b\n"
    pybuild("rm", "talks").ok()


def test_podman_has_no_option_that_the_page_does_not_speak_of(pybuild: Pybuild) -> None:
    kernel.require("podman")
    ours = options_of(*pybuild.words)
    page = LEFT_OUT.read_text(encoding="utf-8").partition("<!-- table: left out -->")[2]
    missing = {name for name in options_of("podman") - ours if f"`{name}`" not in page}
    assert missing == set()


def options_of(*words: str) -> set[str]:
    """Return the long options of `run` of an engine."""
    done = subprocess.run([*words, "run", "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]+", done.stdout))


def test_who_has_every_privilege_has_every_device(anybody: Caller) -> None:
    own = ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/ptmx")
    there = {
        str(path)
        for path in Path("/dev").rglob("*")
        if (path.is_char_device() or path.is_block_device()) and not path.is_symlink()
        if not str(path).startswith(own)
    }
    program, find = anybody.pybuild, "find /dev -type c -o -type b"
    assert {*said(program, find, "--privileged")} == there | {"/dev/pts/ptmx"}
    usual = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    assert {*said(program, find)} == usual | {"/dev/pts/ptmx"}
    assert said(program, "test -c /dev/console && echo there", "--privileged", "-t") == ["there"]
