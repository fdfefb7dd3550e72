"""Limits and accounting by control groups: version 2, version 1, and both side by side.

In: `Resources`. Out: a group that the sandbox joins, and what it has used. A limit that cannot
hold here is refused. Source: the kernel's cgroup-v2.rst and cgroup-v1/*; docs/security.md, S11.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from runtime import usage
from runtime.errors import UnsupportedError
from runtime.hierarchy import PARENT, Layout, here, switch_on, write
from runtime.rootfs import CgroupView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.spec import Resources
    from runtime.usage import Usage


_COUNTED = frozenset({"memory", "cpuacct", "pids", "blkio", "freezer"})
"""Controllers of version 1 that a group with accounting is in."""
_PREFIX = "pybuild-"
_PATIENCE = 5.0
"""Seconds until a group is left to `collect_stale`."""
_HINT_CONTROLLER = (
    "the machine's root may delegate it: systemctl edit user@.service, with the lines [Service] "
    "and Delegate=cpu cpuset io memory pids; then log in again"
)
_HINT_ROOTLESS = (
    "start it in a delegated group: systemd-run --user --scope -p Delegate=yes pybuild ..."
)


class Group:
    """The groups of one sandbox, one in each tree that is needed."""

    def __init__(
        self, directories: Mapping[str, str], *, unified: bool, above: tuple[str, ...] = ()
    ) -> None:
        """`directories` gives the directory for a controller, `""` the unified one.

        `above`: groups that were made for this one to be in, outermost first.
        """
        self._above = above
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
            write(f"{directory}/cgroup.procs", "0")

    def usage(self) -> Usage:
        """Return what has been used so far."""
        if self._unified:
            return usage.of_unified(self._directories[""])
        return usage.of_legacy(self._directories)

    def remove(self) -> None:
        """Remove the groups, whose processes have ended."""
        for directory in self._directories.values():
            _remove(directory)
        _remove_empty(self._above)


def create(resources: Resources, where: Layout, name: str) -> Group | None:
    """Make a group with limits, or None where there is nothing to limit or count.

    Raises UnsupportedError for a limit that cannot hold.
    """
    needed: frozenset[str] = frozenset()
    if resources.limits:
        from runtime import limits  # for those who have some

        needed = limits.controllers(resources)
    try:
        if resources.parent:
            from runtime import parents  # for those who name one

            where = parents.layout(resources.parent, where, needed | _COUNTED)
        if needed <= frozenset(where.legacy) and where.legacy:
            return _create_legacy(resources, where, name, needed)
        if where.unified:
            return _create_unified(resources, where, name, needed)
    except (OSError, UnsupportedError) as error:
        _remove_empty(where.made)
        if isinstance(error, UnsupportedError):
            raise
        if needed or resources.parent:
            raise _refusal(needed, error) from error
        return None
    if needed or resources.parent:
        raise UnsupportedError(
            _limits(needed),
            "this machine has no control groups for it",
            hint="run without the limit, or mount the cgroup file system",
        )
    return None


_SETS = {"cpuset.cpus": "cpu", "cpuset.mems": "node"}
"""What the numbers in these files are of: directories of /sys/devices/system."""


def _limits(needed: frozenset[str]) -> str:
    return f"a limit of {' and '.join(sorted(needed))}" if needed else "a control group"


def _refusal(needed: frozenset[str], error: OSError) -> UnsupportedError:
    hint = _HINT_ROOTLESS if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY) else ""
    reason = f"{(error.strerror or '').lower()}: {error.filename}"
    kind = _SETS.get(os.path.basename(error.filename or ""))
    if kind is not None and error.errno in (errno.ERANGE, errno.EINVAL):
        there = usage.text_of(f"/sys/devices/system/{kind}/online").strip()
        reason = f"this machine has {kind} {there}, and not all that is asked for"
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
        if needed:
            from runtime import limits  # for those who have some

            for path, value in limits.of_legacy(resources, where.legacy, made):
                write(path, value)
    except OSError:
        for directory in made.values():
            _remove(directory)
        raise
    return Group(made, unified=False, above=where.made)


def _create_unified(
    resources: Resources, where: Layout, name: str, needed: frozenset[str]
) -> Group:
    settings: list[tuple[str, str]] = []
    if needed:
        from runtime import limits  # for those who have some

        # First, for it refuses what there is not.
        settings = limits.of_unified(resources)
    directory = f"{_unified_parent(where, needed)}/{name}"
    os.mkdir(directory, 0o755)
    try:
        for file, value in settings:
            write(f"{directory}/{file}", value)
    except OSError:
        _remove(directory)
        raise
    return Group({"": directory}, unified=True, above=where.made)


def unified_base(where: Layout) -> str:
    """Return the group below which those of sandboxes are made in the unified tree.

    Root of the machine makes them at the top: there alone a group may have both processes and
    children with controllers.
    """
    if not os.path.exists(f"{where.top}/cgroup.type") and os.access(where.top, os.W_OK):
        return where.top
    return where.unified


def _unified_parent(where: Layout, needed: frozenset[str]) -> str:
    """Return a group without processes of its own, whose children have the controllers."""
    base = unified_base(where)
    parent = f"{base}/{PARENT}"
    _let_have(base, needed)
    os.makedirs(parent, 0o755, exist_ok=True)
    _let_have(parent, needed)
    return parent


def _let_have(above: str, needed: frozenset[str]) -> None:
    """Let the children of a group have what limits need, and what counts where it is there."""
    missing, adding = to_switch_on(above, needed)
    if missing:
        hint = _HINT_CONTROLLER if os.path.exists(f"{above}/cgroup.type") else ""
        reason = f"the controller {', '.join(sorted(missing))} is not delegated: {above}"
        raise UnsupportedError(_limits(needed), reason, hint=hint)
    if adding:
        switch_on(above, adding)


def to_switch_on(above: str, needed: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return which controllers a group has not itself, and which its children have not yet."""
    present = frozenset(usage.text_of(f"{above}/cgroup.controllers").split())
    switched_on = frozenset(usage.text_of(f"{above}/cgroup.subtree_control").split())
    wanted = needed | frozenset({"memory", "io"})
    return needed - present, (wanted & present) - switched_on


def collect_stale(where: Layout) -> None:
    """Remove groups whose makers were killed; a name holds the maker's process id."""
    for base in {*where.legacy.values(), f"{where.top}/{PARENT}", f"{where.unified}/{PARENT}"}:
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


def clear(groups: Sequence[tuple[str, str]]) -> None:
    """Remove the groups that a monitor left when it was killed, by controller and directory."""
    for controller, directory in groups:
        if controller == "freezer":
            # In version 1 what is frozen does not even die.
            with (
                contextlib.suppress(OSError),
                open(f"{directory}/freezer.state", "w", encoding="ascii") as file,
            ):
                file.write("THAWED")
    for _controller, directory in groups:
        _remove(directory)


def _remove(directory: str) -> None:
    """Remove a group; the kernel may take a moment to see that it is empty."""
    delay = 0.001
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.rmdir(directory)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return
            time.sleep(delay)
            delay = min(2 * delay, 0.05)
        else:
            return


def _remove_empty(above: tuple[str, ...]) -> None:
    """Remove groups that were made for one to be in, unless somebody else is there by now."""
    for directory in reversed(above):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
