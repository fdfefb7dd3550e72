"""The trees of control groups: where they are mounted, which group in each is the caller's own.

In: /proc/self/mountinfo and /proc/self/cgroup. Out: a `Layout`. Also: writing files of a group.
Source: cgroups(7); the kernel's cgroup-v2.rst and cgroup-v1/*.
"""

from __future__ import annotations

import os

from runtime import usage
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


PARENT = "pybuild"
"""The group in the unified tree that holds those of sandboxes."""
MAIN = f"{PARENT}.main"
"""Beside it the group that whoever was above moved to: see `runtime/delegation.py`."""


class Layout(NamedTuple):
    """Where the caller's own groups are: directories of the unified tree and of v1 trees.

    `top` is the mount point of the unified tree, `tops` those of the others.
    """

    unified: str = ""
    top: str = ""
    legacy: Mapping[str, str] = {}
    tops: Mapping[str, str] = {}
    made: tuple[str, ...] = ()
    """Groups that were made on the way to these, outermost first."""


def layout(mountinfo: str, own: str) -> Layout:
    """Return the layout by the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    unified = top = ""
    legacy: dict[str, str] = {}
    tops: dict[str, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        if point != "/":
            # What was mounted there or below before is hidden now.
            inside = f"{point}/"
            unified = "" if f"{unified}/".startswith(inside) else unified
            legacy = {k: v for k, v in legacy.items() if not f"{v}/".startswith(inside)}
        kind, _source, options = after.split()[:3]
        if kind == "cgroup2" and "" in paths and not unified:
            unified, top = _directory(point, root, paths[""]), point
        elif kind == "cgroup":
            for option in options.split(","):
                if option in paths:
                    legacy.setdefault(option, _directory(point, root, paths[option]))
                    tops.setdefault(option, point)
    return Layout(unified.removesuffix(f"/{MAIN}"), top, legacy, tops)


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


def switch_on(directory: str, controllers: frozenset[str]) -> None:
    """Let the children of a group of version 2 have controllers."""
    text = " ".join(f"+{controller}" for controller in sorted(controllers))
    write(f"{directory}/cgroup.subtree_control", text)


def write(path: str, text: str) -> None:
    """Write to a file of a group. Raises OSError that names it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
