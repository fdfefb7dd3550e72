"""The rarer limits of `run`: weights, periods, memory nodes, what is done when memory is short.

In: parsed arguments. Out: `Resources`, or UsageError. Imported where one of them is given. Source:
podman-run(1); the kernel's cgroup-v1/memory.rst and sched-bwc.rst.
"""

from __future__ import annotations

from buildkit.cli.arguments import Namespace
from buildkit.containers import flags
from buildkit.errors import UsageError
from runtime.spec import Resources

_RANGES = {
    "memory_swappiness": (0, 100),
    "cpu_shares": (2, 262_144),
    "cpu_period": (1_000, 1_000_000),
}
"""What the kernel takes."""


def with_limits(args: Namespace, resources: Resources) -> Resources:
    """Return the limits with those of the rarer options."""
    for name, (least, most) in _RANGES.items():
        value = getattr(args, name)
        if value is not None and not least <= value <= most:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} is from {least} to {most}, not {value}")
    if args.cpu_quota is not None and args.cpu_quota != -1 and args.cpu_quota < 1_000:
        raise UsageError(f"--cpu-quota is 1000 or more, or -1 for none, not {args.cpu_quota}")
    if args.cpus is not None and (args.cpu_quota is not None or args.cpu_period is not None):
        raise UsageError("--cpus and --cpu-quota or --cpu-period exclude each other")
    reservation = None
    if args.memory_reservation is not None:
        reservation = flags.size_of("--memory-reservation", args.memory_reservation)
        if resources.memory is not None and reservation > resources.memory:
            raise UsageError("--memory-reservation is above the limit of --memory")
    return resources._replace(
        account=bool(args.cgroup_parent),
        memory_reservation=reservation,
        memory_swappiness=args.memory_swappiness,
        oom_kill_disable=args.oom_kill_disable,
        cpu_shares=args.cpu_shares,
        cpu_period=args.cpu_period,
        cpu_quota=args.cpu_quota,
        cpuset_mems=flags.set_of("--cpuset-mems", args.cpuset_mems),
        parent=_parent(args.cgroup_parent),
    )


def _parent(text: str) -> str:
    names = text.strip("/").split("/")
    if text and (not text.isprintable() or {".", ".."}.intersection(names) or "" in names[1:]):
        raise UsageError(f"invalid --cgroup-parent {text!r}", hint="a path such as /batch/jobs")
    return text
