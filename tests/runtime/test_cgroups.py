"""Control groups: what they limit, what they count; docs/security.md, S11."""

import os
import re
from pathlib import Path

import pytest

from runtime import cgroups, hierarchy
from runtime.errors import SandboxError, SetupError, UnsupportedError
from runtime.hierarchy import Layout
from runtime.spec import Resources
from tests.kernel import needs_cgroups
from tests.runtime.conftest import Sandboxes


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
    where = hierarchy.here()
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
    where = hierarchy.here()
    base = where.legacy.get("memory") or f"{where.top}/pybuild"
    os.makedirs(f"{base}/pybuild-4194305-1", exist_ok=True)
    cgroups.collect_stale(where)
    assert not os.path.exists(f"{base}/pybuild-4194305-1")


def test_an_ordinary_user_without_delegation_is_told_so(as_rootless: Sandboxes) -> None:
    try:
        as_rootless.sh("true", resources=Resources(memory=64 << 20))
    except SetupError as error:
        assert "a limit of memory" in error.message
