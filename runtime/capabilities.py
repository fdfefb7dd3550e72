"""Capabilities: names, numbers, sets, and cutting the process down to a set.

In: names such as `CAP_CHOWN` or `chown`. Out: bit masks. Source: capabilities(7), docs/security.md,
S3.
"""

from __future__ import annotations

import errno

from runtime import syscalls
from runtime.errors import SpecError
from runtime.spec import DEFAULT_CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""The position is the number."""

ALL = (1 << len(NAMES)) - 1


def parse(name: str) -> str:
    """Return the full upper-case name; `chown` and `CAP_CHOWN` are the same."""
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full in NAMES:
        return full
    import difflib  # only for the error; it imports re

    close = difflib.get_close_matches(full, NAMES, 1)
    hint = f"did you mean {close[0]}?" if close else "capabilities(7) lists the names"
    raise SpecError(f"there is no capability {name}", hint=hint)


def mask(names: Iterable[str]) -> int:
    """Return the bits of some capabilities."""
    result = 0
    for name in names:
        result |= 1 << NAMES.index(parse(name))
    return result


def names(bits: int) -> tuple[str, ...]:
    """Return the names of the bits that are set, by number."""
    return tuple(name for number, name in enumerate(NAMES) if bits >> number & 1)


def select(
    add: Iterable[str], drop: Iterable[str], base: Iterable[str] = DEFAULT_CAPABILITIES
) -> tuple[str, ...]:
    """Return `base` with `--cap-drop`, then `--cap-add` applied; `ALL` is all of them.

    A capability that is both added and dropped by name is refused.
    """
    added, dropped = list(add), list(drop)
    every = mask(name for name in added if name.upper() != "ALL")
    none = mask(name for name in dropped if name.upper() != "ALL")
    if every & none:
        both = ", ".join(names(every & none))
        raise SpecError(f"{both} cannot be added and dropped at once")
    if any(name.upper() == "ALL" for name in added):
        bits = ALL
    elif any(name.upper() == "ALL" for name in dropped):
        bits = 0
    else:
        bits = mask(base)
    return names((bits | every) & ~none)


def drop_bounding(keep: int) -> None:
    """Cut the bounding set to `keep`; needs CAP_SETPCAP."""
    for number in range(64):
        if keep >> number & 1:
            continue
        try:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                # Past the last capability of this kernel.
                return
            raise


def limit(keep: int) -> None:
    """Cut permitted and effective to `keep`, empty inheritable and ambient.

    What the caller does not have is not asked for.
    """
    permitted = syscalls.capget()[1] & keep
    syscalls.capset(permitted, permitted, 0)
    try:
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    except OSError:
        # Before Linux 4.3 there is no ambient set to empty.
        return
