"""Control groups of version 2, also on a machine whose controllers are bound to version 1.

In a mount namespace where it lies on the trees of version 1 there is the unified one alone.
Controllers that version 1 has stay there, so that their limits are refused; all else is as on any
machine.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import cgroups, hierarchy, parents, syscalls
from runtime.errors import UnsupportedError
from runtime.freezer import Freezer
from runtime.hierarchy import Layout
from runtime.spec import Resources
from tests import namespaces
from tests.callers import Caller
from tests.kernel import needs, require
from tests.leftovers import nothing_left
from tests.program import Pybuild

MOUNT = "/sys/fs/cgroup"
NONE = ("--network", "none")


def _unified_alone() -> None:
    if not os.path.exists(f"{MOUNT}/cgroup.controllers"):
        syscalls.mount("cgroup2", MOUNT, "cgroup2", 0, "")


@pytest.fixture(scope="module")
def pybuild(as_root: Caller) -> Iterator[Pybuild]:
    """Give pybuild where there is the unified tree alone; nothing is left in the end."""
    require("cgroup2")
    with namespaces.entered(_unified_alone, None) as identity:
        base = as_root.fresh()
        program = Pybuild(base.root, base.cwd, words=base.words, identity=identity)
        with nothing_left(program):
            yield program
            program("rm", "-f", "-a").ok()
    assert not [name for name in _groups() if name.startswith("pybuild-v2")]


def _groups() -> list[str]:
    return [path.name for path in Path(MOUNT).glob("**/pybuild-v2*")]


def test_a_container_is_in_a_group_and_sees_no_other(pybuild: Pybuild) -> None:
    pybuild("run", "-d", "--name", "box", *NONE, "busybox", "sleep", "1000").ok()
    pid = pybuild.inspect("box")["State"]["Pid"]
    group = Path(f"/proc/{pid}/cgroup").read_text().partition("0::")[2].strip()
    assert os.path.basename(group).startswith("pybuild-")
    look = (
        "grep ^0:: /proc/self/cgroup; head -n 1 cgroup.procs; ls -d pybuild* 2>&1; "
        "echo 1 > cgroup.freeze"
    )
    done = pybuild("exec", "-w", MOUNT, "box", "sh", "-c", look)
    lines = done.output.splitlines()
    assert lines[0] == "0::/"
    assert lines[1] == "1"
    assert "No such file" in done.output
    assert "Read-only file system" in done.errors
    pybuild("pause", "box").ok()
    assert "frozen 1" in _events(pid)
    pybuild("unpause", "box").ok()
    assert "frozen 0" in _events(pid)
    assert "box" in pybuild("stats", "--no-stream", "box").ok().output
    pybuild("rm", "-f", "box").ok()


def _events(pid: int) -> str:
    group = Path(f"/proc/{pid}/cgroup").read_text().partition("0::")[2].strip()
    for top in (f"{MOUNT}/unified", MOUNT):
        if os.path.exists(f"{top}{group}/cgroup.events"):
            return Path(f"{top}{group}/cgroup.events").read_text()
    return ""


def test_a_group_above_is_made_and_goes(pybuild: Pybuild) -> None:
    options = ("--cgroup-parent", "/pybuild-v2/deep", "--cgroupns", "host", *NONE)
    done = pybuild("run", "--rm", *options, "busybox", "cat", "/proc/self/cgroup").ok()
    assert "0::/pybuild-v2/deep/pybuild/pybuild-" in done.output


def test_what_version_2_has_not_is_refused(pybuild: Pybuild) -> None:
    options = ("--cgroup-parent", "/pybuild-v2-refused", "--oom-kill-disable", *NONE)
    done = pybuild("run", "--rm", *options, "busybox", "true")
    assert done.status == 125
    assert "version 2 of control groups has none" in done.errors or "delegated" in done.errors


@needs("cgroup2")
def test_controllers_are_switched_on_all_the_way() -> None:
    where = hierarchy.here()._replace(legacy={})
    free = Path(f"{where.top}/cgroup.controllers").read_text().split()
    wanted = frozenset(free) - {"cpuset"}
    made = parents.layout("/pybuild-v2/way", where, wanted)
    directory = made.unified
    try:
        assert wanted <= set(Path(f"{where.top}/pybuild-v2/cgroup.controllers").read_text().split())
        assert wanted <= set(Path(f"{directory}/cgroup.controllers").read_text().split())
        group = cgroups.create(Resources(account=True), made, "pybuild-v2-group")
        assert group is not None
        try:
            process = subprocess.Popen(["sleep", "1000"])
            directory_of = dict(group.directories)
            Path(f"{directory_of['']}/cgroup.procs").write_text(str(process.pid))
            freezer = Freezer(directory_of[""], unified=True, fills=False)
            freezer.freeze(lambda: ())
            freezer.thaw()
            process.kill()
            process.wait()
            assert group.usage().process_limit == 0
        finally:
            group.remove()
        if "memory" not in free:
            with pytest.raises(UnsupportedError, match="the controller memory is not delegated"):
                cgroups.create(Resources(memory=1 << 26), Layout(directory, where.top), "x")
    finally:
        for path in reversed(made.made):
            _gone(path)


@pytest.fixture
def delegated(as_rootless: Caller) -> Iterator[tuple[Pybuild, Path]]:
    """Give an ordinary user's pybuild in a group that was given to that user, and the group.

    As systemd gives it: the user may make groups there and distribute the controllers.
    """
    require("unified")
    if as_rootless.user is None:
        pytest.skip("only root can give a group away")
    user = as_rootless.user
    top = Path(hierarchy.here().top)
    hierarchy.switch_on(str(top), frozenset({"memory", "cpu", "pids"}))
    group = top / "pybuild-v2-user"
    group.mkdir()
    for path in (group, group / "cgroup.procs", group / "cgroup.subtree_control"):
        os.chown(path, user.pw_uid, user.pw_gid)

    def enter() -> None:
        # A shell's commands begin where the shell is by then.
        main = group / hierarchy.MAIN
        ((main if main.is_dir() else group) / "cgroup.procs").write_text("0")
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    base = as_rootless.pybuild
    try:
        yield Pybuild(base.root, base.cwd, words=base.words, identity={"preexec_fn": enter}), group
    finally:
        if (group / "cgroup.kill").exists():
            (group / "cgroup.kill").write_text("1")
        for path in sorted((path for path in group.glob("**/") if path.is_dir()), reverse=True):
            _gone(str(path))


def test_an_ordinary_user_has_limits_in_a_delegated_group(
    delegated: tuple[Pybuild, Path],
) -> None:
    pybuild, group = delegated
    shell = subprocess.Popen(["sleep", "1000"])
    (group / "cgroup.procs").write_text(str(shell.pid))
    try:
        script = "x=a; while :; do x=$x$x; done"
        options = ("--memory", "32m", *NONE)
        done = pybuild("run", "--rm", *options, "busybox", "sh", "-c", script)
        assert done.status == 137
        assert "out of memory: the limit is 32 MiB, the peak was 3" in done.errors
        # Whoever was there has moved aside, and does not move again.
        options = ("--pids-limit", "20", "--cpus", "0.5", *NONE)
        look = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max"
        done = pybuild("run", "--rm", *options, "busybox", "sh", "-c", look).ok()
        assert done.output.split() == ["20", "50000", "100000"]
        assert (group / "pybuild.main/cgroup.procs").read_text().split() == [str(shell.pid)]
        assert {path.name for path in group.glob("**/")} == {group.name, "pybuild", "pybuild.main"}
    finally:
        shell.kill()
        shell.wait()


def test_a_container_that_stays_is_limited_and_counted(delegated: tuple[Pybuild, Path]) -> None:
    pybuild, group = delegated
    options = ("--name", "box", "--memory", "40m", *NONE)
    pybuild("run", "-d", *options, "busybox", "sleep", "1000").ok()
    assert "/ 41.9MB" in pybuild("stats", "--no-stream", "box").ok().output
    pybuild("pause", "box").ok()
    pybuild("unpause", "box").ok()
    shown = pybuild("exec", "box", "cat", "/sys/fs/cgroup/memory.max").ok()
    assert shown.output == f"{40 << 20}\n"
    pybuild("stop", "-t", "0", "box").ok()
    pybuild("start", "box").ok()
    pybuild("rm", "-f", "box").ok()
    assert list(group.glob("pybuild/*/")) == []


def test_a_step_of_a_build_is_limited(delegated: tuple[Pybuild, Path], as_rootless: Caller) -> None:
    pybuild, _group = delegated
    context = as_rootless.context("FROM busybox\nRUN x=a; while :; do x=$x$x; done\n")
    done = pybuild.build(context, "--memory", "32m")
    assert done.status == 1
    assert "exit code: 137: out of memory: the limit is 32 MiB" in done.errors


def _gone(path: str) -> None:
    """Remove a group, whose processes the kernel may take a moment to see ended."""
    for _ in range(500):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError(path)
