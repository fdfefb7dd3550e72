"""Room below our own group of version 2: its processes move into a child of it.

In: the limits of a sandbox that is about to be made. A group other than the root has either
processes or children with controllers. So whoever was in our group moves to one beside those of
the sandboxes. It must be done from a PID namespace in which they all are seen, that is before
monitor and zygote have theirs. Source: the kernel's cgroup-v2.rst, "No Internal Process
Constraint"; systemd.resource-control(5), "Delegate".
"""

from __future__ import annotations

import contextlib
import os

from runtime import cgroups, hierarchy, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Resources

_TRIES = 10


def make_room(resources: Resources) -> None:
    """Make room for a group with limits, where we may; who makes the group tells what is missing.

    Only to count something nobody is moved, unless the group was given to its user to do so.
    """
    if not resources.limits and not resources.account:
        return
    where = hierarchy.here()
    needed: frozenset[str] = frozenset()
    if resources.limits:
        from runtime import limits  # for those who have some

        needed = limits.controllers(resources)
    if where.legacy and needed <= frozenset(where.legacy):
        return
    base = where.unified if resources.parent else cgroups.unified_base(where)
    if not _may_not_have_both(base) or resources.parent.startswith("/"):
        return
    missing, adding = cgroups.to_switch_on(base, needed)
    if adding and not missing and (needed or _is_delegated(base)):
        with contextlib.suppress(OSError):
            _move(base)


def _may_not_have_both(directory: str) -> bool:
    """Whether it is a group other than the root, and ours to change."""
    here = f"{directory}/cgroup.procs"
    return os.path.exists(f"{directory}/cgroup.type") and os.access(here, os.W_OK)


def _is_delegated(directory: str) -> bool:
    """Whether systemd says that the group's user may make groups in it."""
    try:
        return os.getxattr(directory, "user.delegate") == b"1"
    except OSError:
        return False


def _move(directory: str) -> None:
    """Put the processes of a group into a child of it."""
    leaf = f"{directory}/{hierarchy.MAIN}"
    os.makedirs(leaf, 0o755, exist_ok=True)
    for _ in range(_TRIES):
        # 0 is somebody outside of our PID namespace, whom we cannot name.
        found = set(usage.text_of(f"{directory}/cgroup.procs").split()) - {"0"}
        if not found:
            return
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                hierarchy.write(f"{leaf}/cgroup.procs", process)
