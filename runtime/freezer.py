"""Stopping everything in a container at once: the freezer of control groups.

In: the group of a container, if it has one. Out: a group that can be frozen; where the container
has none with a freezer, its processes are put into one. Version 2: every group but the root can be
frozen. Source: the kernel's cgroup-v2.rst and cgroup-v1/freezer-subsystem.rst.
"""

from __future__ import annotations

import os
import time

from runtime import cgroups, hierarchy
from runtime.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_TRIES = 1000


class Freezer:
    """A group that can be frozen. `fills`: the processes are not in it by themselves."""

    def __init__(self, directory: str, *, unified: bool, fills: bool) -> None:
        self._directory = directory
        self._unified = unified
        self._fills = fills

    def freeze(self, processes: Callable[[], Sequence[int]]) -> None:
        """Stop everything; `processes` tells what runs now, for a group that must be filled."""
        if self._fills:
            known: set[int] = set()
            while new := set(processes()) - known:
                for pid in new:
                    _put(f"{self._directory}/cgroup.procs", str(pid))
                known |= new
        self._set(frozen=True)

    def thaw(self) -> None:
        """Let everything go on."""
        self._set(frozen=False)

    def _set(self, *, frozen: bool) -> None:
        if self._unified:
            file, value, state = "cgroup.freeze", str(int(frozen)), f"frozen {int(frozen)}"
            seen = "cgroup.events"
        else:
            file, value = "freezer.state", "FROZEN" if frozen else "THAWED"
            seen, state = file, value
        _put(f"{self._directory}/{file}", value)
        for _ in range(_TRIES):
            with open(f"{self._directory}/{seen}", encoding="ascii") as text:
                if state in text.read():
                    return
            time.sleep(0.001)

    def remove(self) -> None:
        """Remove the group if it is only for this."""
        if self._fills:
            try:
                os.rmdir(self._directory)
            except OSError:
                return


def freezer(group: cgroups.Group | None) -> Freezer:
    """Return the freezer of a container. Raises UnsupportedError."""
    directories = {} if group is None else dict(group.directories)
    if "freezer" in directories:
        return Freezer(directories["freezer"], unified=False, fills=False)
    if "" in directories:
        return Freezer(directories[""], unified=True, fills=False)
    where = hierarchy.here()
    base = where.legacy.get("freezer") or where.unified
    unified = "freezer" not in where.legacy
    try:
        if not base:
            raise FileNotFoundError
        directory = f"{base}/pybuild-{os.readlink('/proc/self')}-freezer"
        os.makedirs(directory, 0o755, exist_ok=True)
    except OSError as error:
        raise UnsupportedError(
            "pausing a container",
            "it needs a control group, and none can be made here",
            hint="start pybuild in a delegated group: systemd-run --user --scope -p Delegate=yes",
        ) from error
    return Freezer(directory, unified=unified, fills=True)


def _put(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except ProcessLookupError:
        # It has ended meanwhile.
        return
    finally:
        os.close(fd)
