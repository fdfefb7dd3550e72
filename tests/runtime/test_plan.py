"""From spec to actions: order and content, as values."""

import pytest

from runtime import actions, spec
from runtime.actions import (
    BecomeUser,
    DropBounding,
    Execute,
    ForbidPrivileges,
    JoinNamespace,
    LimitCapabilities,
    LoadFilter,
    Mask,
    MountRoot,
    OpenTerminal,
    Pivot,
    Place,
    RaiseLoopback,
    SealRoot,
    SetLimits,
    Unshare,
    describe,
)
from runtime.errors import SpecError
from runtime.host import Host
from runtime.plan import plan, plan_exec
from runtime.spec import Bind, BindFd, File, Process, RootFs, SandboxSpec, Sysfs, Tmpfs

HOST = Host(machine="x86_64", resolv_conf="nameserver 192.0.2.1\n", hosts="192.0.2.9 far\n")
ROOTLESS = HOST._replace(initial_user_namespace=False)
SPEC = SandboxSpec(root=RootFs(("/layer",), "/upper", "/work"), process=Process(("true",)))


def kinds(wanted: SandboxSpec, host: Host = HOST) -> list[str]:
    return [type(action).__name__ for action in plan(wanted, host)]


def placed(wanted: SandboxSpec, host: Host = HOST) -> list[str]:
    return [action.mount.target for action in plan(wanted, host) if isinstance(action, Place)]


def test_actions_come_in_the_order_that_keeps_promises() -> None:
    every = SPEC._replace(
        root=SPEC.root._replace(readonly=True),
        no_new_privs=True,
        sysctls=(("net.core.somaxconn", "5"),),
        process=SPEC.process._replace(terminal=True),
    )
    order = [name for name in kinds(every) if name != "Place"]
    assert order == [
        "Unshare",
        "RaiseLoopback",
        "SetHostname",
        "MountRoot",
        "WriteSysctls",
        "Mask",
        "Protect",
        "SealRoot",
        "Pivot",
        "OpenTerminal",
        "SetLimits",
        "LeaveKeyring",
        "EnterDirectory",
        "DropBounding",
        "ForbidPrivileges",
        "LoadFilter",
        "BecomeUser",
        "LimitCapabilities",
        "Execute",
    ]


def test_the_filter_is_loaded_while_capabilities_allow_it() -> None:
    order = kinds(SPEC)
    assert order.index("LoadFilter") < order.index("BecomeUser")
    assert "ForbidPrivileges" not in order


def test_parents_are_mounted_before_what_lies_below_them() -> None:
    mounts = (File("/a/b/c", b""), Tmpfs("/a/b"), Tmpfs("/a"), Tmpfs("/dev/shm/x"))
    targets = placed(SPEC._replace(mounts=mounts))
    for target in targets:
        above = [other for other in targets if target.startswith(f"{other}/")]
        assert all(targets.index(other) < targets.index(target) for other in above)


def test_a_mount_of_the_user_replaces_the_standard_one() -> None:
    mounts = (Bind("/x", "/etc//hosts"), Tmpfs("/sys/"))
    wanted = plan(SPEC._replace(mounts=mounts), HOST)
    chosen = [action.mount for action in wanted if isinstance(action, Place)]
    assert [mount for mount in chosen if mount.target == "/etc/hosts"] == [Bind("/x", "/etc/hosts")]
    assert Sysfs() not in chosen


def test_each_network_mode_has_its_actions() -> None:
    own = plan(SPEC, HOST)
    assert Unshare(("mount", "ipc", "uts", "cgroup", "network")) in own
    assert RaiseLoopback() in own
    joined = plan(SPEC._replace(network_fd=7), HOST)
    assert Unshare(("mount", "ipc", "uts", "cgroup")) in joined
    assert JoinNamespace("network", 7) in joined
    host = plan(SPEC._replace(network="host"), HOST)
    assert not any(isinstance(action, RaiseLoopback | JoinNamespace) for action in host)
    none = plan(SPEC._replace(network="none", network_fd=7), HOST)
    assert RaiseLoopback() in none


def test_the_sys_of_the_host_is_shown_only_where_there_is_no_other_way() -> None:
    host = SPEC._replace(network="host")
    sysfs = [a.mount for a in plan(host, ROOTLESS) if isinstance(a, Place)]
    assert Bind("/sys", "/sys", flags=("nosuid", "noexec")) in sysfs
    assert Sysfs() in [a.mount for a in plan(host, HOST) if isinstance(a, Place)]


def test_generated_files_depend_on_the_network() -> None:
    def content(wanted: SandboxSpec, target: str) -> bytes:
        return next(
            action.mount.content
            for action in plan(wanted, HOST)
            if isinstance(action, Place)
            and isinstance(action.mount, File)
            and action.mount.target == target
        )

    assert b"192.0.2.9 far" not in content(SPEC, "/etc/hosts")
    assert b"192.0.2.9 far" in content(SPEC._replace(network="host"), "/etc/hosts")
    assert content(SPEC, "/etc/resolv.conf") == b"nameserver 192.0.2.1\n"
    assert "/etc/hosts" not in placed(SPEC._replace(manage_etc=False))


def test_an_insecure_sandbox_has_nothing_taken_away() -> None:
    wanted = plan(SPEC._replace(security="insecure"), HOST)
    assert not any(isinstance(action, Mask | LoadFilter) for action in wanted)
    assert MountRoot(SPEC.root, devices=True) in wanted
    keep = next(action.keep for action in wanted if isinstance(action, LimitCapabilities))
    assert keep == (1 << 41) - 1
    assert DropBounding(keep) in wanted


def test_limits_that_are_given_replace_the_standard_ones() -> None:
    limit = spec.Rlimit("nofile", 5, 6)
    wanted = plan(SPEC._replace(process=Process(("x",), rlimits=(limit,))), HOST)
    limits = next(action.rlimits for action in wanted if isinstance(action, SetLimits))
    assert [rlimit for rlimit in limits if rlimit.name == "nofile"] == [limit]


def test_optional_parts_are_left_out() -> None:
    order = kinds(SPEC._replace(seccomp="unconfined", hostname=""))
    for name in ("LoadFilter", "SetHostname", "SealRoot", "OpenTerminal", "WriteSysctls"):
        assert name not in order


@pytest.mark.parametrize("args", [(), ("",)])
def test_there_must_be_a_program(args: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match="no program"):
        plan(SPEC._replace(process=Process(args)), HOST)


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_an_environment_that_no_program_can_have_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="cannot be an environment variable"):
        plan(SPEC._replace(process=Process(("x",), env=((name, "v"),))), HOST)


def test_an_unknown_limit_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SpecError, match="no limit files") as caught:
        plan(SPEC._replace(process=Process(("x",), rlimits=(spec.Rlimit("files", 1, 1),))), HOST)
    assert "nofile" in caught.value.hint


def test_every_action_has_a_description() -> None:
    every = SPEC._replace(
        root=SPEC.root._replace(readonly=True),
        no_new_privs=True,
        sysctls=(("net.core.somaxconn", "5"),),
        process=SPEC.process._replace(terminal=True, oom_score_adj=5),
    )
    some = [
        *plan(every, HOST),
        *plan(SPEC._replace(network_fd=7), HOST._replace(single_id=True)),
        *plan_exec(every.process, every, HOST, fd=3, privileged=False),
    ]
    seen = {type(action) for action in some}
    assert seen == set(actions.Action.__args__)
    for action in some:
        text = describe(action)
        assert text
        assert text[0].islower()


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Place(Bind("/src", "/dst"), trusted=False), "mount /src at /dst"),
        (Place(BindFd(15, "/dst", source="/src"), trusted=False), "mount /src at /dst"),
        (Place(File("/s", b"secret"), trusted=False), "mount a file of 6 bytes at /s"),
        (
            MountRoot(SPEC.root, devices=False),
            "mount the root: overlay of 1 layers, changes /upper",
        ),
        (BecomeUser("", ()), "become user root"),
        (Execute(("sh", "-c", "secret"), (("A", "b"),), 0o022), "run sh"),
        (OpenTerminal(24, 80), "open a terminal of 24 rows and 80 columns"),
        (LoadFilter(b"\0" * 16), "load a seccomp filter of 2 instructions"),
        (SealRoot(), "make the root read-only"),
        (Pivot(), "pivot into the root"),
        (ForbidPrivileges(), "set no_new_privs"),
    ],
)
def test_descriptions_show_no_contents(action: actions.Action, text: str) -> None:
    assert describe(action) == text
