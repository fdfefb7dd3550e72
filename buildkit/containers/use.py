"""What a container uses at this moment.

In: a container that runs. Out: `Use`: from its control groups, where it has some, else from its
processes as /proc shows them. Source: the kernel's cgroup-v2.rst, cgroup-v1/memory.rst,
cpuacct.rst and blkio-controller.rst; proc_net_dev(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from buildkit.containers.processes import read_process
from buildkit.containers.store import Container
from runtime import usage
from runtime.control import Connection, Listed, Processes
from runtime.errors import StateError
from runtime.values import NamedTuple

_UNLIMITED = 1 << 60


class Use(NamedTuple):
    """Seconds of processor time since the start; bytes; numbers of processes."""

    cpu: float
    memory: int
    memory_limit: int
    read: int
    written: int
    received: int
    sent: int
    processes: int


def read_use(one: Container) -> Use:
    """Return what a container uses. Raises StateError when it does not run."""
    state = one.state
    answer, _fds = Connection.to(one.directory).ask(Processes())
    if not isinstance(answer, Listed):
        raise StateError("the monitor did not answer")
    groups = dict(state.groups)
    cpu, memory = _of_processes(answer.pids)
    read = written = 0
    limit = 0
    if "" in groups:
        cpu, memory, limit, read, written = _unified(groups[""])
    elif groups:
        cpu = _number(groups, "cpuacct", "cpuacct.usage") / 1e9 or cpu
        memory = _memory(groups) or memory
        limit = _number(groups, "memory", "memory.limit_in_bytes")
        read, written = _blocks(groups)
    received, sent = _network(state.pid)
    return Use(
        cpu=cpu,
        memory=memory,
        memory_limit=limit if 0 < limit < _UNLIMITED else _machine_memory(),
        read=read,
        written=written,
        received=received,
        sent=sent,
        processes=len(answer.pids),
    )


def _of_processes(pids: tuple[int, ...]) -> tuple[float, int]:
    found = [process for process in map(read_process, pids) if process is not None]
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(p.ticks for p in found) / ticks, sum(p.memory for p in found)


def _unified(directory: str) -> tuple[float, int, int, int, int]:
    cpu = usage.field(usage.text_of(f"{directory}/cpu.stat"), "usage_usec") / 1e6
    used = int(usage.text_of(f"{directory}/memory.current").strip() or 0)
    cache = usage.field(usage.text_of(f"{directory}/memory.stat"), "inactive_file")
    text = usage.text_of(f"{directory}/memory.max").strip()
    read = written = 0
    for word in usage.text_of(f"{directory}/io.stat").split():
        key, _, number = word.partition("=")
        read += int(number) if key == "rbytes" else 0
        written += int(number) if key == "wbytes" else 0
    limit = int(text) if text.isdecimal() else 0
    return cpu, max(0, used - cache), limit, read, written


def _memory(groups: Mapping[str, str]) -> int:
    """Return what is in use, but for the cache that can go at any time, as the engines count."""
    used = _number(groups, "memory", "memory.usage_in_bytes")
    stat = usage.text_of(f"{groups.get('memory', '')}/memory.stat")
    return max(0, used - usage.field(stat, "total_inactive_file"))


def _blocks(groups: Mapping[str, str]) -> tuple[int, int]:
    text = usage.text_of(f"{groups.get('blkio', '')}/blkio.throttle.io_service_bytes")
    read = written = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] == "Read":
            read += int(words[2])
        elif len(words) == 3 and words[1] == "Write":
            written += int(words[2])
    return read, written


def _network(pid: int) -> tuple[int, int]:
    """Return bytes received and sent, but for the loopback's."""
    received = sent = 0
    for line in usage.text_of(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != "lo" and len(fields) > 8:
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _number(groups: Mapping[str, str], controller: str, file: str) -> int:
    directory = groups.get(controller)
    return 0 if directory is None else usage.number(f"{directory}/{file}")
