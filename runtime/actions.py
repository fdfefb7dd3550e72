"""The actions of which the making of a sandbox consists, as values, and as text.

In: nothing. Out: the closed union `Action`, and `describe`. `plan.py` decides on them,
`init.py` performs them.
"""

from __future__ import annotations

from runtime.spec import (
    Bind,
    BindFd,
    Cgroup,
    Devices,
    File,
    Layers,
    Mount,
    MountedRoot,
    Mqueue,
    Overlay,
    Proc,
    Rlimit,
    Root,
    RootFs,
    Sysfs,
    Tmpfs,
)
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


class Unshare(NamedTuple):
    """Leave the namespaces of the builder."""

    namespaces: tuple[str, ...]


class JoinNamespace(NamedTuple):
    """Enter a namespace that others share."""

    namespace: str
    fd: int


class JoinSandbox(NamedTuple):
    """Enter the namespaces of a sandbox that runs, and with them its root."""

    fd: int
    namespaces: tuple[str, ...]


class RaiseLoopback(NamedTuple):
    """Bring the interface `lo` up."""


class SetHostname(NamedTuple):
    """Name the UTS namespace."""

    name: str


class MountRoot(NamedTuple):
    """Mount the root, not yet as root; `devices` says whether device nodes on it work."""

    root: Root
    devices: bool


class Place(NamedTuple):
    """Mount something inside the root; `trusted` leaves nothing out for safety."""

    mount: Mount
    trusted: bool


class WriteSysctls(NamedTuple):
    """Set kernel parameters of the new namespaces."""

    settings: tuple[tuple[str, str], ...]


class Mask(NamedTuple):
    """Hide files and directories behind emptiness."""

    paths: tuple[str, ...]


class Protect(NamedTuple):
    """Make trees of the kernel read-only."""

    paths: tuple[str, ...]


class SealRoot(NamedTuple):
    """Make the root file system read-only."""


class Pivot(NamedTuple):
    """Make the new root the root, and let go of the old one."""


class OpenTerminal(NamedTuple):
    """Make a terminal inside, and hand its other end out; `console`: it is /dev/console too."""

    rows: int
    columns: int
    console: bool = True


class EnterDirectory(NamedTuple):
    """Go to the working directory. `makes`: it is made when missing."""

    path: str
    makes: bool


class SetLimits(NamedTuple):
    """Set resource limits, as far as the caller may."""

    rlimits: tuple[Rlimit, ...]


class SetOomScore(NamedTuple):
    """Say how soon to be killed where memory is short, from -1000 (never) to 1000."""

    score: int


class LeaveKeyring(NamedTuple):
    """Leave the session keyring of the caller."""


class DropBounding(NamedTuple):
    """Cut the capability bounding set."""

    keep: int


class ForbidPrivileges(NamedTuple):
    """Set no_new_privs."""


class Supervise(NamedTuple):
    """Pass calls about owners and ids on to the supervisor, by the seccomp program."""

    program: bytes


class LoadFilter(NamedTuple):
    """Install the seccomp program."""

    program: bytes


class BecomeUser(NamedTuple):
    """Take the user and groups of the process, looked up inside the root."""

    user: str
    groups: tuple[str, ...]


class LimitCapabilities(NamedTuple):
    """Cut permitted and effective capabilities."""

    keep: int


class Execute(NamedTuple):
    """Become the program."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    umask: int


Action: TypeAlias = (
    Unshare
    | JoinNamespace
    | JoinSandbox
    | RaiseLoopback
    | SetHostname
    | MountRoot
    | Place
    | WriteSysctls
    | Mask
    | Protect
    | SealRoot
    | Pivot
    | OpenTerminal
    | EnterDirectory
    | SetLimits
    | SetOomScore
    | LeaveKeyring
    | DropBounding
    | ForbidPrivileges
    | Supervise
    | LoadFilter
    | BecomeUser
    | LimitCapabilities
    | Execute
)


def describe(action: Action) -> str:
    """Return what an action does, to stand after `cannot` in an error."""
    match action:
        case Unshare(namespaces):
            return f"unshare namespaces ({', '.join(namespaces)})"
        case Place(mount):
            return f"mount {_mount(mount)}"
        case MountRoot(root):
            return f"mount the root: {_root(root)}"
        case WriteSysctls(settings):
            return f"set sysctls ({', '.join(f'{name}={value}' for name, value in settings)})"
        case Mask(paths) | Protect(paths):
            verb = "mask" if isinstance(action, Mask) else "make read-only"
            return f"{verb} {' '.join(paths)}"
        case EnterDirectory(path):
            return f"enter the working directory {path}"
        case SetLimits(rlimits):
            return f"set limits ({', '.join(rlimit.name for rlimit in rlimits)})"
        case BecomeUser(user):
            return f"become user {user or 'root'}"
        case Execute(args):
            return f"run {args[0]}"
        case _:
            return _describe_plain(action)


def _describe_plain(action: Action) -> str:
    """Describe the actions that are about one thing of the process."""
    match action:
        case JoinNamespace(namespace):
            return f"join the {namespace} namespace"
        case JoinSandbox():
            return "join the container"
        case SetOomScore(score):
            return f"set the OOM score adjustment to {score}"
        case SetHostname(name):
            return f"set the host name {name}"
        case Supervise():
            return "pass calls about owners and ids on to a supervisor"
        case LoadFilter(program):
            return f"load a seccomp filter of {len(program) // 8} instructions"
        case DropBounding(keep):
            return f"cut the capability bounding set to {keep:#x}"
        case LimitCapabilities(keep):
            return f"cut the capabilities to {keep:#x}"
        case OpenTerminal(rows, columns):
            return f"open a terminal of {rows} rows and {columns} columns"
        case _:
            return _PLAIN[type(action).__name__]


_PLAIN = {
    "RaiseLoopback": "bring the loopback interface up",
    "SealRoot": "make the root read-only",
    "Pivot": "pivot into the root",
    "LeaveKeyring": "leave the session keyring",
    "ForbidPrivileges": "set no_new_privs",
}


def _root(root: Root) -> str:
    if isinstance(root, RootFs):
        kind = "thrown away" if root.upper is None else root.upper
        return f"overlay of {len(root.lowers)} layers, changes {kind}"
    return "a tree made for it" if isinstance(root, MountedRoot) else root.path


def _mount(mount: Mount) -> str:
    """Return a mount as `what at target`."""
    match mount:
        case Bind(source=source, path=path):
            what = f"{source}/{path}" if path else source
        case BindFd(fd=fd, source=source):
            what = source or f"descriptor {fd}"
        case Layers(lowers=lowers, source=source):
            what = source or f"{len(lowers)} layers"
        case Overlay(lowers=lowers, source=source):
            what = source or f"an overlay of {len(lowers)} layers"
        case Tmpfs() | Proc() | Sysfs() | Mqueue() | Cgroup() | Devices():
            what = type(mount).__name__.lower()
        case File(content=content):
            what = f"a file of {len(content)} bytes"
        case _:
            assert_never(mount)
    return f"{what} at {mount.target}"
