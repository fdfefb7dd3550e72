"""Control groups: where they are, what they limit, what they count; docs/security.md, S11."""

import os
import re
from pathlib import Path

import pytest

from runtime import cgroups
from runtime.cgroups import Layout
from runtime.errors import SandboxError, SetupError, UnsupportedError
from runtime.spec import Resources
from tests.kernel import needs_cgroups
from tests.runtime.conftest import Sandboxes

HYBRID = """\
31 24 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw
33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
34 31 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory
"""
HYBRID_OWN = "4:memory:/user/me\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/x.scope\n"
UNIFIED = "25 30 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
NESTED = "25 30 0:22 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n"


def test_a_hybrid_machine_has_both() -> None:
    assert cgroups.layout(HYBRID, HYBRID_OWN) == Layout(
        unified="/sys/fs/cgroup/unified/user.slice/x.scope",
        top="/sys/fs/cgroup/unified",
        legacy={
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            "memory": "/sys/fs/cgroup/memory/user/me",
        },
        tops={
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            "memory": "/sys/fs/cgroup/memory",
        },
    )


def test_what_lies_below_another_mount_is_not_there() -> None:
    above = "40 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    found = cgroups.layout(HYBRID + above, HYBRID_OWN)
    assert found.unified == "/sys/fs/cgroup/user.slice/x.scope"
    assert found.legacy == {}


def test_a_unified_machine_has_one() -> None:
    found = cgroups.layout(UNIFIED, "0::/user.slice/user-1.slice\n")
    assert found.unified == "/sys/fs/cgroup/user.slice/user-1.slice"
    assert found.legacy == {}
    # Where processes of a delegated group have moved to is not where groups are made.
    assert cgroups.layout(UNIFIED, "0::/some.scope/pybuild.main\n").unified == (
        "/sys/fs/cgroup/some.scope"
    )


def test_a_part_of_the_tree_may_be_mounted() -> None:
    assert cgroups.layout(NESTED, "0::/docker/abc/sub\n").unified == "/sys/fs/cgroup/sub"
    assert cgroups.layout(UNIFIED, "0::/../other\n").unified == "/sys/fs/cgroup"


def test_a_limit_without_control_groups_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="a limit of memory and pids"):
        cgroups.create(Resources(memory=1 << 20, pids=5), Layout(), "x")


def test_counting_without_control_groups_is_done_without() -> None:
    assert cgroups.create(Resources(account=True), Layout(), "x") is None


@needs_cgroups
def test_a_memory_hog_is_killed_and_named_so(as_root: Sandboxes) -> None:
    script = "x=a; while :; do x=$x$x; done"
    result = as_root.sh(script, resources=Resources(memory=32 << 20))
    assert result.code != 0
    assert result.status.oom
    assert result.status.peak_memory <= 33 << 20
    reason = "out of memory: the limit is 32 MiB, the peak was 3[12] MiB"
    assert re.fullmatch(reason, result.status.reason)


@needs_cgroups
def test_a_fork_bomb_is_bounded(as_root: Sandboxes) -> None:
    script = "for i in $(seq 40); do sleep 5 & done; echo made"
    result = as_root.sh(script, resources=Resources(pids=10))
    assert "can't fork" in result.output


@needs_cgroups
def test_the_limits_can_be_read_inside(as_root: Sandboxes) -> None:
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    result = as_root.sh(script, resources=Resources(memory=64 << 20))
    assert result.lines == [str(64 << 20)]


@needs_cgroups
def test_processors_are_limited(as_root: Sandboxes) -> None:
    resources = Resources(cpus=0.5, cpuset_cpus="0", account=True)
    script = "grep Cpus_allowed_list /proc/self/status; cat /sys/fs/cgroup/cpu.max "
    script += "/sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null"
    result = as_root.sh(script, resources=resources)
    assert result.lines[0].split()[1] == "0"
    assert result.lines[1].split()[0] == "50000"


@needs_cgroups
def test_processors_that_are_not_there_are_named_beside_those_that_are(as_root: Sandboxes) -> None:
    online = Path("/sys/devices/system/cpu/online").read_text().strip()
    with pytest.raises(SandboxError, match=f"this machine has cpu {online}, and not all"):
        as_root.sh("true", resources=Resources(cpuset_cpus="0,4000"))


@needs_cgroups
def test_no_group_is_left_behind(as_root: Sandboxes) -> None:
    # Somebody else's containers may run on this machine.
    before = _groups()
    as_root.sh("true", resources=Resources(memory=64 << 20, pids=5, cpus=1))
    assert _groups() - before == set()


def _groups() -> set[str]:
    where = cgroups.here()
    bases = [*where.legacy.values(), f"{where.top}/pybuild"]
    return {
        f"{base}/{name}"
        for base in bases
        if os.path.isdir(base)
        for name in os.listdir(base)
        if name.startswith("pybuild-")
    }


@needs_cgroups
def test_groups_of_the_dead_are_collected() -> None:
    where = cgroups.here()
    base = where.legacy.get("memory") or f"{where.top}/pybuild"
    os.makedirs(f"{base}/pybuild-4194305-1", exist_ok=True)
    cgroups.collect_stale(where)
    assert not os.path.exists(f"{base}/pybuild-4194305-1")


def test_an_ordinary_user_without_delegation_is_told_so(as_rootless: Sandboxes) -> None:
    try:
        as_rootless.sh("true", resources=Resources(memory=64 << 20))
    except SetupError as error:
        assert "a limit of memory" in error.message
