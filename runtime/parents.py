"""The control group above a container's, where the user names one: `--cgroup-parent`.

In: a path, and where our own groups are. Out: the same as if the named one were our own. Groups of
the path that are missing are made. Source: podman-run(1), "--cgroup-parent"; cgroup-v1/cpusets.rst.
"""

from __future__ import annotations

import os

from runtime import usage
from runtime.hierarchy import PARENT, Layout, switch_on, write


def layout(parent: str, where: Layout, controllers: frozenset[str]) -> Layout:
    """Return the layout below `parent`, a path from the top, or without a slash first from ours.

    Raises OSError.
    """
    path = parent.strip("/")
    absolute = parent.startswith("/")
    made: list[str] = []
    legacy: dict[str, str] = {}
    unified = where.unified
    try:
        for controller, own in where.legacy.items():
            if controller in controllers:
                base = where.tops[controller] if absolute else own
                legacy[controller] = f"{base}/{path}" if path else base
                _make(made, base, path, controller)
        if unified and not legacy:
            base = where.top if absolute else unified
            unified = f"{base}/{path}" if path else base
            _make(made, base, f"{path}/{PARENT}", "", controllers)
    except OSError:
        for directory in reversed(made):
            os.rmdir(directory)
        raise
    return where._replace(unified=unified, top="", legacy=legacy, made=tuple(made))


def _make(
    made: list[str],
    base: str,
    path: str,
    controller: str,
    controllers: frozenset[str] = frozenset(),
) -> None:
    """Make the groups of a path below `base`; those that are new go to `made`."""
    here = base
    for name in filter(None, path.split("/")):
        above, here = here, f"{here}/{name}"
        present = usage.text_of(f"{above}/cgroup.controllers").split()
        if not controller and controllers.intersection(present):
            switch_on(above, controllers.intersection(present))
        try:
            os.mkdir(here, 0o755)
        except FileExistsError:
            continue
        made.append(here)
        if controller == "cpuset":
            # It has nothing until it is told.
            for file in ("cpuset.cpus", "cpuset.mems"):
                write(f"{here}/{file}", usage.text_of(f"{above}/{file}").strip())
