"""Limits as what is written into the files of control groups. Pure, but for a look at our own.

In: `Resources`. Out: files and texts, for version 1 and version 2. Imported where there is a limit.
Source: the kernel's cgroup-v2.rst and cgroup-v1/*; the conversions of the OCI runtimes.
"""

from __future__ import annotations

import os

from runtime import usage
from runtime.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.spec import Resources


_PERIOD = 100_000
"""Microseconds."""


def controllers(resources: Resources) -> frozenset[str]:
    """Return the controllers that limits are for, by their names."""
    wanted: dict[str, tuple[object, ...]] = {
        "memory": (
            resources.memory,
            resources.memory_swap,
            resources.memory_reservation,
            resources.memory_swappiness,
            resources.oom_kill_disable or None,
        ),
        "cpu": (
            resources.cpus,
            resources.cpu_shares,
            resources.cpu_period,
            resources.cpu_quota,
        ),
        "cpuset": (resources.cpuset_cpus or None, resources.cpuset_mems or None),
        "pids": (resources.pids,),
    }
    return frozenset(name for name, values in wanted.items() if values.count(None) < len(values))


def of_legacy(
    resources: Resources, own: Mapping[str, str], made: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return paths and what to write there for groups of version 1, in order.

    `own` and `made` give our own groups and the new ones, by controller.
    """
    settings: list[tuple[str, str]] = []
    if "cpuset" in made:
        # A new one has nothing until it is told.
        for file in ("cpuset.cpus", "cpuset.mems"):
            text = usage.text_of(f"{own['cpuset']}/{file}").strip()
            settings.append((f"{made['cpuset']}/{file}", text))
    total = _memory_and_swap(resources)
    if total is not None and resources.memory_swap is None:
        # Swap may not be counted here; then only an explicit wish for it is refused.
        total = total if os.path.exists(f"{made['memory']}/memory.memsw.limit_in_bytes") else None
    quota, period = _quota(resources)
    wanted: tuple[tuple[str, str, int | str | None], ...] = (
        ("cpuset", "cpuset.cpus", resources.cpuset_cpus or None),
        ("cpuset", "cpuset.mems", resources.cpuset_mems or None),
        ("memory", "memory.limit_in_bytes", resources.memory),
        ("memory", "memory.memsw.limit_in_bytes", total),
        ("memory", "memory.soft_limit_in_bytes", resources.memory_reservation),
        ("memory", "memory.swappiness", resources.memory_swappiness),
        ("memory", "memory.oom_control", 1 if resources.oom_kill_disable else None),
        ("cpu", "cpu.shares", resources.cpu_shares),
        ("cpu", "cpu.cfs_period_us", period),
        ("cpu", "cpu.cfs_quota_us", quota),
        ("pids", "pids.max", None if resources.pids is None else _or_max(resources.pids)),
    )
    for controller, file, value in wanted:
        if value is not None:
            settings.append((f"{made[controller]}/{file}", str(value)))
    return settings


def of_unified(resources: Resources) -> list[tuple[str, str]]:
    """Return files of a group of version 2 and what to write there. Raises UnsupportedError."""
    _check_unified(resources)
    settings: list[tuple[str, str]] = []
    if resources.memory is not None:
        settings.append(("memory.max", str(resources.memory)))
    total = _memory_and_swap(resources)
    if total is not None:
        swap = -1 if total < 0 else max(0, total - (resources.memory or 0))
        settings.append(("memory.swap.max", _or_max(swap)))
    quota, period = _quota(resources)
    if quota is not None or period is not None:
        limit = "max" if quota is None or quota < 0 else str(quota)
        settings.append(("cpu.max", f"{limit} {period or _PERIOD}"))
    if resources.cpu_shares is not None:
        # As the OCI runtimes convert them: 2 is 1, and 262144 is 10000.
        weight = 1 + (max(2, min(resources.cpu_shares, 262_144)) - 2) * 9999 // 262_142
        settings.append(("cpu.weight", str(weight)))
    if resources.memory_reservation is not None:
        settings.append(("memory.low", str(resources.memory_reservation)))
    if resources.cpuset_cpus:
        settings.append(("cpuset.cpus", resources.cpuset_cpus))
    if resources.cpuset_mems:
        settings.append(("cpuset.mems", resources.cpuset_mems))
    if resources.pids is not None:
        settings.append(("pids.max", _or_max(resources.pids)))
    return settings


def _check_unified(resources: Resources) -> None:
    """Refuse what version 2 of control groups has not."""
    for wanted, name in (
        (resources.memory_swappiness is not None, "the swappiness of a group"),
        (resources.oom_kill_disable, "a group whose processes are not killed for memory"),
    ):
        if wanted:
            raise UnsupportedError(name, "version 2 of control groups has none")


def _quota(resources: Resources) -> tuple[int | None, int | None]:
    """Return microseconds of processor time, and of the period in which they are given."""
    if resources.cpus is not None:
        return round(resources.cpus * _PERIOD), _PERIOD
    return resources.cpu_quota, resources.cpu_period


def _memory_and_swap(resources: Resources) -> int | None:
    """Return the limit of both together; twice the memory unless told, as the engines do."""
    if resources.memory_swap is not None:
        return resources.memory_swap
    return None if resources.memory is None else 2 * resources.memory


def _or_max(number: int) -> str:
    return "max" if number < 0 else str(number)
