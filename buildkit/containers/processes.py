"""Processes as /proc shows them.

In: a number. Out: `Process`. Source: proc_pid_stat(5), proc_pid_cmdline(5).
"""

from __future__ import annotations

import os

from runtime.values import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A process; `ticks` of processor time, `memory` in bytes, numbers as on the host."""

    pid: int
    parent: int
    user: int
    state: str
    ticks: int
    memory: int
    command: str


def read_process(pid: int) -> Process | None:
    """Return a process, None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            head, _, tail = file.read().rpartition(")")
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read().rstrip("\0").split("\0")
        user = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    fields = tail.split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        user=user,
        state=fields[0],
        ticks=int(fields[11]) + int(fields[12]),
        memory=int(fields[21]) * _PAGE,
        command=" ".join(words) or f"[{head.partition('(')[2]}]",
    )
