"""What a command leaves behind: processes, mounts, control groups, interfaces, half-made files.

Looked for from outside, in /proc, /sys and the state roots. Orphans of what a test starts become
our children, so that nothing can run away from being found.
"""

import contextlib
import ctypes
import os
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.program import Pybuild

PATIENCE = 20.0
"""Seconds until what is still there counts as left: the kernel takes its time with killed trees."""

_PR_SET_CHILD_SUBREAPER = 36
_INTERFACE = re.compile("pyb[0-9a-f]{11}")
"""The outer end of a sandbox's; the bridge they share goes with its last user."""

_HALF_MADE = ("tmp", "leases")


class State(NamedTuple):
    """What is there at a moment."""

    processes: frozenset[str]
    mounts: frozenset[str]
    groups: frozenset[str]
    interfaces: frozenset[str]
    files: frozenset[str]

    def beyond(self, before: "State") -> list[str]:
        """Return what is there now and was not before."""
        return [
            f"{kind}: {one}"
            for kind, now, then in zip(self._fields, self, before, strict=True)
            for one in sorted(now - then)
        ]


@contextlib.contextmanager
def nothing_left(*programs: Pybuild, patience: float = PATIENCE) -> Iterator[None]:
    """Check that a block leaves nothing behind, neither running nor in the stores of `programs`."""
    _adopt_orphans()
    before = look(programs)
    yield
    deadline = time.monotonic() + patience
    while left := look(programs).beyond(before):
        assert time.monotonic() < deadline, "\n".join(left)
        time.sleep(0.05)


def stores_clean(*programs: Pybuild) -> bool:
    """Whether there is nothing half-made in the stores of `programs`."""
    return not look(programs).files


def look(programs: tuple[Pybuild, ...]) -> State:
    """Return what is there now."""
    return State(
        processes=frozenset(_descendants()),
        mounts=frozenset(
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if any(str(program.root) in line for program in programs)
        ),
        groups=frozenset(_orphaned_groups()),
        interfaces=frozenset(_interfaces()),
        files=frozenset(
            f"{program.root}/{part}/{name}"
            for program in programs
            for part in _HALF_MADE
            for name in _names(program.root / part)
        ),
    )


def _interfaces() -> Iterator[str]:
    """Yield the interfaces of sandboxes; none while other tests run beside ours and have theirs."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield from filter(_INTERFACE.fullmatch, os.listdir("/sys/class/net"))


@cache
def _adopt_orphans() -> None:
    assert ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _names(directory: Path) -> list[str]:
    return os.listdir(directory) if directory.exists() else []


def _descendants() -> Iterator[str]:
    """Yield our descendants that run; orphans that have ended are reaped on the way."""
    parents: dict[int, int] = {}
    told: dict[int, str] = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit():
                pid = int(name)
                text = Path(f"/proc/{name}/stat").read_text(errors="replace")
                state, parent = text.rpartition(")")[2].split()[:2]
                if state == "Z":
                    _reap(pid, int(parent))
                    continue
                words = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ")
                parents[pid] = int(parent)
                told[pid] = f"{pid} {words[:200].decode(errors='replace')}"
    for pid, text in told.items():
        above = parents[pid]
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid():
            yield text


def _reap(pid: int, parent: int) -> None:
    """Reap a child that is nobody's: `subprocess` has waited for all of its own by now."""
    if parent == os.getpid():
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _orphaned_groups() -> Iterator[str]:
    """Yield the control groups whose maker is dead; they are called `pybuild-<pid>-<number>`."""
    for directory, names, _files in os.walk("/sys/fs/cgroup"):
        for name in names:
            maker = name.removeprefix("pybuild-").partition("-")[0]
            if name.startswith("pybuild-") and not os.path.exists(f"/proc/{maker}"):
                yield f"{directory}/{name}"
