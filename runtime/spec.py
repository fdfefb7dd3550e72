"""What a sandbox shall be, as values; the part of the OCI runtime-spec that we use.

In: nothing. Out: `SandboxSpec` and its parts, and `ExitStatus`, what became of the process.
Paths are absolute paths of the host unless they are called `target`, which are paths inside
the sandbox. File descriptors in a spec are numbers of the process that holds the spec.
"""

from __future__ import annotations

from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from runtime.idmap import IdMap


NetworkMode: TypeAlias = Literal["default", "none", "host"]
Security: TypeAlias = Literal["sandbox", "insecure"]
SeccompMode: TypeAlias = Literal["default", "unconfined"]
MountFlag: TypeAlias = Literal["nosuid", "noexec", "nodev", "noatime"]

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
)
"""Guarantee S3; the set of the widely used container engines."""

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""Guarantee S5; `thermal_throttle` of each CPU is masked as well."""

READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)

SHM_SIZE = 64 << 20
"""Bytes of /dev/shm unless told otherwise."""


class RootFs(NamedTuple):
    """An overlay of `lowers` (top-most first) under `upper`.

    The sandbox mounts it itself, in its own mount namespace. Without `upper`, what is written
    is thrown away. `work` must be empty and on the file system of `upper`; it cannot be used
    again afterwards, because the overlay is mounted volatile.
    """

    lowers: tuple[str, ...]
    upper: str | None = None
    work: str | None = None
    readonly: bool = False
    shifted: bool = False
    """Files of `lowers` have the outer ids of the sandbox on the disk, as those of `upper` have."""


class DirectoryRoot(NamedTuple):
    """A plain directory as root; what is written lands in it."""

    path: str
    readonly: bool = False


class MountedRoot(NamedTuple):
    """A detached mount as root; the descriptor serves once. `readonly`: changes are thrown away."""

    fd: int
    readonly: bool = False


Root: TypeAlias = RootFs | DirectoryRoot | MountedRoot


class Bind(NamedTuple):
    """A file or directory of the host, shown at `target`. Always nodev."""

    source: str
    target: str
    readonly: bool = True
    recursive: bool = True
    flags: tuple[MountFlag, ...] = ()
    mapped: bool = False
    """The ids on the disk are those inside, whatever the user namespace (`idmapped.py`)."""
    path: str = ""
    """What of `source`, a directory, is shown; no link on the way leads out of it."""


class BindFd(NamedTuple):
    """A detached mount (`mounts.pin`), shown at `target`; the descriptor serves once.

    What was resolved cannot be swapped any more, so this is how paths that came from outside
    are mounted (S14). `source`: what it is, for errors.
    """

    fd: int
    target: str
    readonly: bool = True
    flags: tuple[MountFlag, ...] = ()
    source: str = ""


class Overlay(NamedTuple):
    """`lowers` (top-most first; a number is a detached mount) under `upper`.

    Without `upper`, what is written is thrown away when the sandbox ends. `mapped`: see `Bind`.
    `source`: what it is, for errors.
    """

    target: str
    lowers: tuple[str | int, ...]
    upper: str | None = None
    work: str | None = None
    flags: tuple[MountFlag, ...] = ()
    mapped: bool = False
    source: str = ""


class Layers(NamedTuple):
    """What lies at `path` in a stack of `lowers` (top-most first), read-only.

    `path` has no links in it (`safepath.resolve`). `mapped`: see `Bind`. `source`: what it is, for
    errors.
    """

    target: str
    lowers: tuple[str, ...]
    path: str = "/"
    mapped: bool = False
    source: str = ""


class Tmpfs(NamedTuple):
    """An empty file system in memory; `size` in bytes, 0 for the kernel's default.

    `uid` and `gid` are ids inside.
    """

    target: str
    size: int = 0
    mode: int = 0o1777
    flags: tuple[MountFlag, ...] = ("nosuid", "nodev")
    readonly: bool = False
    uid: int = 0
    gid: int = 0


class File(NamedTuple):
    """A file whose content comes with the spec and never touches a disk (secrets, hosts)."""

    target: str
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    readonly: bool = False


class Proc(NamedTuple):
    """The processes of the sandbox."""

    target: str = "/proc"


class Sysfs(NamedTuple):
    """The kernel's devices, read-only."""

    target: str = "/sys"


class Mqueue(NamedTuple):
    """POSIX message queues of the sandbox."""

    target: str = "/dev/mqueue"


class Cgroup(NamedTuple):
    """The control group of the sandbox, read-only."""

    target: str = "/sys/fs/cgroup"


class Device(NamedTuple):
    """A device node of the host that the sandbox may open."""

    source: str
    target: str


class Devices(NamedTuple):
    """A /dev of its own: the standard nodes, pts, shm, links, and `extra`.

    With `machine` all devices that the machine has at that moment, too.
    """

    target: str = "/dev"
    shm_size: int = SHM_SIZE
    extra: tuple[Device, ...] = ()
    machine: bool = False


Mount: TypeAlias = (
    Bind | BindFd | Overlay | Layers | Tmpfs | File | Proc | Sysfs | Mqueue | Cgroup | Devices
)


LIMITS = (
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)
"""Names of resource limits, as getrlimit(2) has them."""


class Rlimit(NamedTuple):
    """A resource limit by its lower-case name (`nofile`); -1 is unlimited.

    Clamped to what the caller may set.
    """

    name: str
    soft: int
    hard: int


class Process(NamedTuple):
    """The program to run.

    `user` is empty (root), a name or number, or `user:group`; names are looked up inside the
    root. `groups` are supplementary groups on top of the image's. `args[0]` is searched in the
    PATH of `env`, inside the root. A missing `cwd` is made, but for further programs (`exec`).
    """

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    umask: int = 0o022
    terminal: bool = False
    terminal_size: tuple[int, int] = (24, 80)
    """Rows and columns."""
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None


class Resources(NamedTuple):
    """Limits of the control group; None is unlimited, bytes for memory.

    `memory_swap` is memory and swap together, as the engines count it; -1 is unlimited.
    `account` asks for measured use even without limits; entering a group can cost 20 ms, while
    the times and the largest process are known without one.
    """

    memory: int | None = None
    memory_swap: int | None = None
    cpus: float | None = None
    cpuset_cpus: str = ""
    pids: int | None = None
    account: bool = False
    memory_reservation: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_shares: int | None = None
    """As version 1 counts them: 2 to 262144, 1024 by default."""
    cpu_period: int | None = None
    cpu_quota: int | None = None
    """Microseconds, as the period."""
    cpuset_mems: str = ""
    parent: str = ""
    """The group above: a path from the top, or without a slash at the start from our own."""

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return self._replace(account=False) != Resources()


class Resolver(NamedTuple):
    """Name servers for /etc/resolv.conf; empty fields are taken from the host."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class SandboxSpec(NamedTuple):
    """Everything about a sandbox.

    /proc, /dev, /sys, /dev/mqueue and /sys/fs/cgroup are mounted unless `mounts` has the same
    target. With `manage_etc`, /etc/hosts, /etc/hostname and /etc/resolv.conf are generated and
    mounted, too. `network_fd` is a network namespace to join in mode `default`; without one,
    the sandbox gets an own namespace with loopback only. `security="insecure"` means all
    capabilities, no filter, no masks, all devices.
    """

    root: Root
    process: Process
    mounts: tuple[Mount, ...] = ()
    hostname: str = "localhost"
    network: NetworkMode = "default"
    network_fd: int | None = None
    resources: Resources = Resources()
    security: Security = "sandbox"
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    no_new_privs: bool = False
    seccomp: SeccompMode = "default"
    profile: str = ""
    """A seccomp profile of the user's own, its JSON; empty for the usual policy."""
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READONLY_PATHS
    extra_hosts: tuple[tuple[str, str], ...] = ()
    """(name, address) pairs."""
    address: str = ""
    """The sandbox's own address for /etc/hosts, when the network has one."""
    resolver: Resolver = Resolver()
    sysctls: tuple[tuple[str, str], ...] = ()
    shm_size: int = SHM_SIZE
    devices: tuple[Device, ...] = ()
    manage_etc: bool = True
    unmanaged: tuple[str, ...] = ()
    """Which of these files stay the image's."""
    ids: IdMap | None = None
    """Of a user namespace of its own, None for the caller's (`userns.py`)."""
    shared: tuple[str, ...] = ()
    """Which of `ipc`, `uts` and `cgroup` are the caller's namespaces."""
    joined: tuple[tuple[str, int], ...] = ()
    """Namespaces to enter, by name and descriptor, which serves once."""
    machine_devices: bool = False
    """Whether /dev has all devices of the machine."""


class ExitStatus(NamedTuple):
    """What became of a sandboxed process.

    `code` is its exit status, 128+n when signal n ended it, 126 or 127 when its program could
    not be run (`started` is false and `reason` says why). Seconds are of the whole sandbox,
    `peak_memory` is in bytes and as good as the machine allows: of the control group, else of
    the largest process. `reason` also tells a timeout or an OOM kill.
    """

    code: int
    signal: int | None = None
    started: bool = True
    oom: bool = False
    timed_out: bool = False
    reason: str = ""
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


def descriptors(spec: SandboxSpec) -> tuple[int, ...]:
    """Return the detached mounts that a spec uses up."""
    found: list[int] = [spec.root.fd] if isinstance(spec.root, MountedRoot) else []
    for mount in spec.mounts:
        if isinstance(mount, BindFd):
            found.append(mount.fd)
        elif isinstance(mount, Overlay):
            found += [lower for lower in mount.lowers if isinstance(lower, int)]
    return (*found, *(fd for _name, fd in spec.joined))
