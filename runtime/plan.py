"""From a spec to the ordered actions that make the sandbox. Pure.

In: `SandboxSpec` and `Host`, what the plan has to know of the machine. Out: actions for
`init.py`, which performs them one after the other in the process that becomes the program.
Source: runtime-spec config.md and config-linux.md; docs/security.md, S1 to S8.
"""

from __future__ import annotations

import posixpath

from runtime import capabilities, etc, seccomp
from runtime.actions import (
    Action,
    BecomeUser,
    DropBounding,
    EnterDirectory,
    Execute,
    ForbidPrivileges,
    JoinNamespace,
    JoinSandbox,
    LeaveKeyring,
    LimitCapabilities,
    LoadFilter,
    Mask,
    MountRoot,
    OpenTerminal,
    Pivot,
    Place,
    Protect,
    RaiseLoopback,
    SealRoot,
    SetHostname,
    SetLimits,
    SetOomScore,
    Supervise,
    Unshare,
    WriteSysctls,
)
from runtime.errors import SpecError
from runtime.spec import (
    LIMITS,
    Bind,
    Cgroup,
    Devices,
    File,
    Mount,
    Mqueue,
    Proc,
    Process,
    Rlimit,
    SandboxSpec,
    Sysfs,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.host import Host

_RLIMITS = (
    Rlimit("core", 0, -1),
    Rlimit("cpu", -1, -1),
    Rlimit("data", -1, -1),
    Rlimit("fsize", -1, -1),
    Rlimit("as", -1, -1),
    Rlimit("stack", 8 << 20, -1),
    Rlimit("nofile", 1024, 1 << 20),
)
_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.domainname",
)


def plan(spec: SandboxSpec, host: Host) -> tuple[Action, ...]:
    """Return the actions for `spec`. Raises SpecError where it makes no sense."""
    trusted = spec.security == "insecure"
    held = _held(spec)
    process = spec.process
    _check(process)
    actions: list[Action] = [*_score(process), *_namespaces(spec)]
    actions.append(MountRoot(spec.root, devices=trusted))
    actions += [Place(mount, trusted) for mount in _mounts(spec, host)]
    if spec.sysctls:
        actions.append(WriteSysctls(_sysctls(spec)))
    if not trusted:
        actions += [Mask(spec.masked_paths), Protect(spec.readonly_paths)]
    if spec.root.readonly:
        actions.append(SealRoot())
    actions.append(Pivot())
    actions += _becoming(process, spec, held, host)
    return tuple(actions)


def plan_exec(
    process: Process, spec: SandboxSpec, host: Host, *, fd: int, privileged: bool
) -> tuple[Action, ...]:
    """Return the actions for a further process in the sandbox of `spec`, which runs.

    `fd` is a pidfd of its process 1. Raises SpecError where the process makes no sense.
    """
    _check(process)
    if privileged:
        spec = spec._replace(security="insecure")
    namespaces = [name for name in ("mount", "ipc", "uts", "cgroup") if name not in spec.shared]
    if spec.ids is not None:
        namespaces.insert(0, "user")
    if spec.network != "host":
        namespaces.append("network")
    held = _held(spec)
    becoming = _becoming(process, spec, held, host, first=False)
    return (*_score(process), JoinSandbox(fd, tuple(namespaces)), *becoming)


def _score(process: Process) -> list[Action]:
    """Return what says how soon it is killed where memory is short; done by the host's /proc."""
    return [] if process.oom_score_adj is None else [SetOomScore(process.oom_score_adj)]


def _held(spec: SandboxSpec) -> tuple[str, ...]:
    """Return the capabilities of a sandbox's processes."""
    if spec.security == "insecure":
        return capabilities.NAMES
    return tuple(map(capabilities.parse, spec.capabilities))


def _becoming(
    process: Process, spec: SandboxSpec, held: tuple[str, ...], host: Host, *, first: bool = True
) -> list[Action]:
    """Return what turns a process inside the root into the program.

    The `first` one has /dev/console, and its working directory is made when missing.
    """
    keep = capabilities.mask(held)
    actions: list[Action] = []
    if process.terminal:
        actions.append(OpenTerminal(*process.terminal_size, console=first))
    actions.append(SetLimits(_rlimits(process.rlimits)))
    actions += [LeaveKeyring(), EnterDirectory(process.cwd or "/", first), DropBounding(keep)]
    if spec.no_new_privs:
        actions.append(ForbidPrivileges())
    if host.single_id:
        actions.append(Supervise(seccomp.assemble_supervised(host.machine)))
    if spec.seccomp == "default" and spec.security != "insecure":
        # While the process still has CAP_SYS_ADMIN, which spares no_new_privs.
        actions.append(LoadFilter(_filter(spec, held, host)))
    actions += [BecomeUser(process.user, process.groups), LimitCapabilities(keep)]
    actions.append(Execute(process.args, process.env, process.umask))
    return actions


def _filter(spec: SandboxSpec, held: tuple[str, ...], host: Host) -> bytes:
    if not spec.profile:
        return seccomp.assemble(held, host.machine)
    from runtime import seccomp_profile  # for the few who bring one

    return seccomp_profile.assemble(spec.profile, held, host.machine, host.release)


def _check(process: Process) -> None:
    """Refuse what execve(2) could not take."""
    if not process.args or not process.args[0]:
        raise SpecError("there is no program to run")
    for argument in process.args:
        if "\0" in argument:
            raise SpecError("an argument has a NUL character in it")
    for name, value in process.env:
        if not name or "=" in name or "\0" in name + value:
            raise SpecError(f"{name!r} cannot be an environment variable")
    for rlimit in process.rlimits:
        if rlimit.name not in LIMITS:
            raise SpecError(
                f"there is no limit {rlimit.name}", hint=f"it is one of {', '.join(LIMITS)}"
            )


def _namespaces(spec: SandboxSpec) -> list[Action]:
    joined = dict(spec.joined)
    if spec.network == "default" and spec.network_fd is not None:
        joined["network"] = spec.network_fd
    others = {*spec.shared, *joined}
    own = [name for name in ("mount", "ipc", "uts", "cgroup") if name not in others]
    if spec.network != "host" and "network" not in joined:
        own.append("network")
    actions: list[Action] = [Unshare(tuple(own))]
    actions += [JoinNamespace(name, fd) for name, fd in joined.items()]
    if "network" in own:
        actions.append(RaiseLoopback())
    if spec.hostname and "uts" in own:
        actions.append(SetHostname(spec.hostname))
    return actions


def _mounts(spec: SandboxSpec, host: Host) -> tuple[Mount, ...]:
    """Return all mounts, parents before what lies below them."""
    own = [_checked(mount) for mount in spec.mounts]
    taken = {mount.target for mount in own}
    standard: list[Mount] = [
        Proc(),
        Devices("/dev", spec.shm_size, spec.devices, machine=spec.machine_devices),
        # A sysfs shows the network of its mounter, who must own it.
        Sysfs()
        if spec.network != "host" or (host.initial_user_namespace and spec.ids is None)
        else Bind("/sys", "/sys", readonly=True, flags=("nosuid", "noexec")),
        Mqueue(),
        Cgroup(),
    ]
    if spec.manage_etc:
        standard += _etc_files(spec, host)
    taken.update(spec.unmanaged)
    chosen = [mount for mount in standard if mount.target not in taken]
    return tuple(sorted(chosen + own, key=lambda mount: mount.target.count("/")))


def _checked(mount: Mount) -> Mount:
    """Return the mount with a clean target."""
    target = posixpath.normpath(mount.target)
    if not target.startswith("/"):
        raise SpecError(f"the mount target {mount.target} is not an absolute path")
    # Two slashes at the start are kept by POSIX.
    target = "/" + target.lstrip("/")
    if target == "/":
        raise SpecError("nothing can be mounted at /")
    return mount._replace(target=target)


def _etc_files(spec: SandboxSpec, host: Host) -> list[Mount]:
    inside = host.hosts if spec.network == "host" else ""
    hosts = etc.hosts(spec.hostname, spec.address, spec.extra_hosts, inside)
    loopback = spec.network == "host"
    resolver = etc.resolv_conf(host.resolv_conf, spec.resolver, loopback=loopback)
    return [
        File("/etc/hostname", f"{spec.hostname}\n".encode()),
        File("/etc/hosts", hosts.encode()),
        File("/etc/resolv.conf", resolver.encode()),
    ]


def _rlimits(wanted: tuple[Rlimit, ...]) -> tuple[Rlimit, ...]:
    names = {rlimit.name for rlimit in wanted}
    return tuple(rlimit for rlimit in _RLIMITS if rlimit.name not in names) + wanted


def _sysctls(spec: SandboxSpec) -> tuple[tuple[str, str], ...]:
    """Return the settings, if all of them belong to namespaces of the sandbox."""
    others = {*spec.shared, *(name for name, _fd in spec.joined)}
    for name, _value in spec.sysctls:
        if name.startswith("net."):
            own = spec.network != "host"
        elif name == "kernel.domainname":
            own = "uts" not in others
        else:
            own = "ipc" not in others and (name.startswith("fs.mqueue.") or name in _SYSCTLS)
        if not own:
            raise SpecError(f"the sysctl {name} is not the sandbox's own")
        if "/" in name or ".." in name:
            raise SpecError(f"{name} is no name of a sysctl")
    return spec.sysctls
