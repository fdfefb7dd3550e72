"""The conditions under which a build is made again: as little as possible like the first time.

In: what is to vary. Out: `Conditions`, and their being put into effect in a process of its own.
The clock cannot be set for a build alone (a time namespace has no wall clock), so the second build
is later, and the files of its context are new.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping

from runtime import syscalls
from runtime.values import NamedTuple

WHAT = ("time", "order", "hostname", "cpus", "umask", "locale", "home", "modes")
"""What can vary. `modes`: of the context's files, as another umask at checkout leaves them."""

USUAL = frozenset(WHAT) - {"modes"}

_HOSTNAME = "another-host"
_ENVIRONMENT = {
    "locale": {"TZ": "XXX-14", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"},
    "home": {"HOME": "/nonexistent/home", "USER": "somebody", "LOGNAME": "somebody"},
}


class Conditions(NamedTuple):
    """`umask`, `cpus`, `hostname`: None as they are. `environment`: variables that are set."""

    environment: Mapping[str, str]
    umask: int | None = None
    cpus: int | None = None
    hostname: str | None = None


def conditions_of(varied: frozenset[str]) -> Conditions:
    """Return the conditions of the second build."""
    environment: dict[str, str] = {}
    for name, variables in _ENVIRONMENT.items():
        if name in varied:
            environment |= variables
    return Conditions(
        environment,
        umask=_other_umask() if "umask" in varied else None,
        cpus=1 if "cpus" in varied else None,
        hostname=_HOSTNAME if "hostname" in varied else None,
    )


def enter(conditions: Conditions) -> None:
    """Put them into effect for this process, which must have a single thread. Raises OSError.

    Its mounts are its own and go with it. Where a host name needs more rights, it stays.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    if conditions.hostname is not None:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUTS)
            syscalls.sethostname(conditions.hostname)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
    if conditions.umask is not None:
        os.umask(conditions.umask)
    if conditions.cpus is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: conditions.cpus])
    os.environ.update(conditions.environment)


def words_of(conditions: Conditions, places: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Return what could stand in a file: what it is, what it was the first time, the second."""
    cpus = len(os.sched_getaffinity(0))
    found = [("the state root", *places)]
    if conditions.hostname is not None:
        found.append(("the host name", socket.gethostname(), conditions.hostname))
    if conditions.cpus is not None:
        found.append(("the number of processors", str(cpus), str(conditions.cpus)))
    for name, value in conditions.environment.items():
        if os.environ.get(name):
            found.append((f"${name}", os.environ[name], value))
    return found


def _other_umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return 0o022 if now == 0o077 else 0o077
