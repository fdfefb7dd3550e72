"""Where control groups are, by the texts of /proc."""

from runtime.hierarchy import Layout, layout

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
    assert layout(HYBRID, HYBRID_OWN) == Layout(
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
    found = layout(HYBRID + above, HYBRID_OWN)
    assert found.unified == "/sys/fs/cgroup/user.slice/x.scope"
    assert found.legacy == {}


def test_a_unified_machine_has_one() -> None:
    found = layout(UNIFIED, "0::/user.slice/user-1.slice\n")
    assert found.unified == "/sys/fs/cgroup/user.slice/user-1.slice"
    assert found.legacy == {}
    # Where processes of a delegated group have moved to is not where groups are made.
    assert layout(UNIFIED, "0::/some.scope/pybuild.main\n").unified == ("/sys/fs/cgroup/some.scope")


def test_a_part_of_the_tree_may_be_mounted() -> None:
    assert layout(NESTED, "0::/docker/abc/sub\n").unified == "/sys/fs/cgroup/sub"
    assert layout(UNIFIED, "0::/../other\n").unified == "/sys/fs/cgroup"
