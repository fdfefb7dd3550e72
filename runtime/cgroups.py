"""Limits and accounting by control groups: version 2, version 1, and both side by side.

In: `Resources`. Out: a group that the sandbox joins, and what it has used. A limit that cannot
hold here is refused. Source: the kernel's cgroup-v2.rst and cgroup-v1/*; docs/security.md, S11.
"""

import errno
import os
import time
from collections.abc import Mapping

from runtime import usage
from runtime.errors import UnsupportedError
from runtime.rootfs import CgroupView
from runtime.spec import Resources
from runtime.usage import Usage
from runtime.values import NamedTuple

_PERIOD = 100_000
_COUNTED = frozenset({"memory", "cpuacct", "pids", "blkio", "freezer"})
"""Controllers of version 1 that a group with accounting is in."""
_PREFIX = "pybuild-"
_PARENT = "pybuild"
_HINT_ROOTLESS = (
    "start it in a delegated group: systemd-run --user --scope -p Delegate=yes pybuild ..."
)


class Layout(NamedTuple):
    """Where the caller's own groups are: directories of the unified tree and of v1 trees.

    `top` is the mount point of the unified tree.
    """

    unified: str = ""
    top: str = ""
    legacy: Mapping[str, str] = {}


def layout(mountinfo: str, own: str) -> Layout:
    """Return the layout by the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    unified = top = ""
    legacy: dict[str, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _source, options = after.split()[:3]
        if kind == "cgroup2" and "" in paths and not unified:
            unified, top = _directory(point, root, paths[""]), point
        elif kind == "cgroup":
            for option in options.split(","):
                if option in paths:
                    legacy.setdefault(option, _directory(point, root, paths[option]))
    return Layout(unified, top, legacy)


def _directory(point: str, root: str, own: str) -> str:
    """Return the directory of group `own` in a tree of which `root` is mounted at `point`."""
    if root != "/" and own.startswith(root):
        own = own[len(root) :]
    # A group above the root of our cgroup namespace has no path here.
    inside = "" if own.startswith("/..") else own.strip("/")
    return f"{point}/{inside}" if inside else point


def here() -> Layout:
    """Return the layout of this process."""
    return layout(usage.text_of("/proc/self/mountinfo"), usage.text_of("/proc/self/cgroup"))


class Group:
    """The groups of one sandbox, one in each tree that is needed."""

    def __init__(self, directories: Mapping[str, str], *, unified: bool) -> None:
        """`directories` gives the directory for a controller, `""` the unified one."""
        self._directories = directories
        self._unified = unified

    @property
    def view(self) -> CgroupView:
        """What the sandbox sees of it."""
        if self._unified:
            return CgroupView(unified=True)
        return CgroupView(controllers=tuple(self._directories))

    @property
    def directories(self) -> tuple[tuple[str, str], ...]:
        """The directory for each controller, that of the unified tree for ""."""
        return tuple(self._directories.items())

    def join(self) -> None:
        """Put the calling process in."""
        for directory in self._directories.values():
            _write(f"{directory}/cgroup.procs", "0")

    def usage(self) -> Usage:
        """Return what has been used so far."""
        if self._unified:
            return usage.of_unified(self._directories[""])
        return usage.of_legacy(self._directories)

    def remove(self) -> None:
        """Remove the groups, whose processes have ended."""
        for directory in self._directories.values():
            _remove(directory)


def create(resources: Resources, where: Layout, name: str) -> Group | None:
    """Make a group with limits, or None where there is nothing to limit or count.

    Raises UnsupportedError for a limit that cannot hold.
    """
    needed = _needed(resources)
    try:
        if needed <= frozenset(where.legacy) and where.legacy:
            return _create_legacy(resources, where, name, needed)
        if where.unified:
            return _create_unified(resources, where, name, needed)
    except OSError as error:
        if needed:
            raise _refusal(needed, error) from error
        return None
    if needed:
        raise UnsupportedError(
            _limits(needed),
            "this machine has no control groups for it",
            hint="run without the limit, or mount the cgroup file system",
        )
    return None


def _needed(resources: Resources) -> frozenset[str]:
    wanted = {
        "memory": resources.memory is not None or resources.memory_swap is not None,
        "cpu": resources.cpus is not None,
        "cpuset": bool(resources.cpuset_cpus),
        "pids": resources.pids is not None,
    }
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def _limits(needed: frozenset[str]) -> str:
    return f"a limit of {' and '.join(sorted(needed))}"


def _refusal(needed: frozenset[str], error: OSError) -> UnsupportedError:
    hint = _HINT_ROOTLESS if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY) else ""
    reason = f"{(error.strerror or '').lower()}: {error.filename}"
    return UnsupportedError(_limits(needed), reason, hint=hint)


def _create_legacy(resources: Resources, where: Layout, name: str, needed: frozenset[str]) -> Group:
    controllers = set(needed)
    if resources.account:
        controllers.update(_COUNTED & where.legacy.keys())
    made: dict[str, str] = {}
    try:
        for controller in sorted(controllers):
            directory = f"{where.legacy[controller]}/{name}"
            os.mkdir(directory, 0o755)
            made[controller] = directory
        for path, value in _legacy_settings(resources, where, made):
            _write(path, value)
    except OSError:
        for directory in made.values():
            _remove(directory)
        raise
    return Group(made, unified=False)


def _legacy_settings(
    resources: Resources, where: Layout, made: Mapping[str, str]
) -> list[tuple[str, str]]:
    settings: list[tuple[str, str]] = []
    if "cpuset" in made:
        for file in ("cpuset.cpus", "cpuset.mems"):
            value = usage.text_of(f"{where.legacy['cpuset']}/{file}").strip()
            settings.append((f"{made['cpuset']}/{file}", value))
        settings.append((f"{made['cpuset']}/cpuset.cpus", resources.cpuset_cpus))
    if resources.memory is not None:
        settings.append((f"{made['memory']}/memory.limit_in_bytes", str(resources.memory)))
    total = _memory_and_swap(resources)
    if total is not None:
        path = f"{made['memory']}/memory.memsw.limit_in_bytes"
        # Swap may not be counted here; then only an explicit wish for it is refused.
        if resources.memory_swap is not None or os.path.exists(path):
            settings.append((path, str(total)))
    if resources.cpus is not None:
        settings.append((f"{made['cpu']}/cpu.cfs_period_us", str(_PERIOD)))
        quota = round(resources.cpus * _PERIOD)
        settings.append((f"{made['cpu']}/cpu.cfs_quota_us", str(quota)))
    if resources.pids is not None:
        settings.append((f"{made['pids']}/pids.max", _or_max(resources.pids)))
    return settings


def _create_unified(
    resources: Resources, where: Layout, name: str, needed: frozenset[str]
) -> Group:
    parent = _unified_parent(where, needed)
    directory = f"{parent}/{name}"
    os.mkdir(directory, 0o755)
    try:
        for file, value in _unified_settings(resources):
            _write(f"{directory}/{file}", value)
    except OSError:
        _remove(directory)
        raise
    return Group({"": directory}, unified=True)


def _unified_settings(resources: Resources) -> list[tuple[str, str]]:
    settings: list[tuple[str, str]] = []
    if resources.memory is not None:
        settings.append(("memory.max", str(resources.memory)))
    total = _memory_and_swap(resources)
    if total is not None:
        swap = -1 if total < 0 else max(0, total - (resources.memory or 0))
        settings.append(("memory.swap.max", _or_max(swap)))
    if resources.cpus is not None:
        settings.append(("cpu.max", f"{round(resources.cpus * _PERIOD)} {_PERIOD}"))
    if resources.cpuset_cpus:
        settings.append(("cpuset.cpus", resources.cpuset_cpus))
    if resources.pids is not None:
        settings.append(("pids.max", _or_max(resources.pids)))
    return settings


def _unified_parent(where: Layout, needed: frozenset[str]) -> str:
    """Return a group without processes of its own, whose children have the controllers.

    The root group may have both processes and children; any other may not, so our processes
    move into a child of it.
    """
    base = where.unified
    if not os.path.exists(f"{where.top}/cgroup.type") and os.access(where.top, os.W_OK):
        base = where.top
    parent = f"{base}/{_PARENT}"
    os.makedirs(parent, 0o755, exist_ok=True)
    wanted = needed | frozenset({"memory", "io"})
    for above in (base, parent):
        present = frozenset(usage.text_of(f"{above}/cgroup.controllers").split())
        if needed - present:
            missing = ", ".join(sorted(needed - present))
            raise OSError(errno.EACCES, f"the controller {missing} is not delegated", above)
        switched_on = frozenset(usage.text_of(f"{above}/cgroup.subtree_control").split())
        adding = (wanted & present) - switched_on
        if adding:
            _switch_on(above, adding)
    return parent


def _switch_on(directory: str, controllers: frozenset[str]) -> None:
    text = " ".join(f"+{controller}" for controller in sorted(controllers))
    try:
        _write(f"{directory}/cgroup.subtree_control", text)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        leaf = f"{directory}/{_PARENT}.main"
        os.makedirs(leaf, 0o755, exist_ok=True)
        for process in usage.text_of(f"{directory}/cgroup.procs").split():
            _write(f"{leaf}/cgroup.procs", process)
        _write(f"{directory}/cgroup.subtree_control", text)


def _memory_and_swap(resources: Resources) -> int | None:
    """Return the limit of both together; twice the memory unless told, as the engines do."""
    if resources.memory_swap is not None:
        return resources.memory_swap
    return None if resources.memory is None else 2 * resources.memory


def _or_max(number: int) -> str:
    return "max" if number < 0 else str(number)


def collect_stale(where: Layout) -> None:
    """Remove groups whose makers were killed; a name holds the maker's process id."""
    for base in {*where.legacy.values(), f"{where.top}/{_PARENT}", f"{where.unified}/{_PARENT}"}:
        try:
            names = os.listdir(base)
        except OSError:
            continue
        for name in names:
            maker = name.removeprefix(_PREFIX).partition("-")[0]
            if not name.startswith(_PREFIX) or os.path.exists(f"/proc/{maker}"):
                continue
            try:
                os.rmdir(f"{base}/{name}")
            except OSError:
                continue


class Maker:
    """Makes groups for the sandboxes of one process; looks at the machine at first use."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._made = 0

    def make(self, resources: Resources) -> Group | None:
        """Make a group as `create` does."""
        if not resources.limits and not resources.account:
            return None
        if self._layout is None:
            self._layout = here()
            collect_stale(self._layout)
        self._made += 1
        # Our number in the namespace of /proc, by which others can see whether we live.
        maker = os.readlink("/proc/self")
        return create(resources, self._layout, f"{_PREFIX}{maker}-{self._made}")

    def view(self, group: Group | None) -> CgroupView:
        """Return what a sandbox sees of its group, or of ours where it has none of its own."""
        if group is not None:
            return group.view
        return CgroupView(unified=os.path.exists("/sys/fs/cgroup/cgroup.controllers"))


def _remove(directory: str) -> None:
    """Remove a group; the kernel may take a moment to see that it is empty."""
    for _ in range(200):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
            time.sleep(0.001)
        else:
            return


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
