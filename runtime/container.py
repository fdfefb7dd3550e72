"""A container as its monitor knows it: what to run, how to keep it, and how it is.

In: nothing. Out: `Task`, what the monitor is given; `State`, what it writes into `state.json` of
the container's directory; where the files of that directory are. The directory:

    task.json    the Task, written once; a new start may replace it
    state.json   the State; written aside and renamed by whoever holds `lock`
    lock         flock'ed by the monitor for as long as it lives
    control      the socket on which the monitor listens
    log, log.1   what the container wrote (`containerlog.py`)
    hosts        its /etc/hosts, which is mounted inside
    layer/fs, work   the upper directory of its root file system
"""

from __future__ import annotations

import fcntl
import itertools
import os
import time

from runtime import documents, spec
from runtime.idmap import IdMap, Range
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from runtime.spec import Process, SandboxSpec


Status: TypeAlias = Literal["created", "running", "paused", "restarting", "exited"]
RestartPolicy: TypeAlias = Literal["no", "on-failure", "always", "unless-stopped"]
Protocol: TypeAlias = Literal["tcp", "udp"]
FailureAction: TypeAlias = Literal["none", "kill", "restart", "stop"]
HealthStatus: TypeAlias = Literal["", "starting", "healthy", "unhealthy"]

_LOOKS = 50
"""`is_free` of somebody who only looks takes no longer than so many turns."""

_LEAVING = 10.0
"""Seconds that a monitor has for its own end."""

LOST = 137
"""The exit code of a container whose monitor was killed: everything in it was, too."""


class Port(NamedTuple):
    """A published port. `address` empty: all of the host's; `outside` 0: any free one."""

    inside: int
    outside: int = 0
    address: str = ""
    protocol: Protocol = "tcp"


class HealthCheck(NamedTuple):
    """A command that tells whether the container is well; times in seconds."""

    args: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3
    on_failure: FailureAction = "none"


class Restart(NamedTuple):
    """When to start again what has ended; `tries` 0 is without end."""

    policy: RestartPolicy = "no"
    tries: int = 0


class Logging(NamedTuple):
    """How much of the output is kept: `files` of up to `size` bytes; no files: nothing."""

    size: int = 16 << 20
    files: int = 2


class Place(NamedTuple):
    """Where a container is to be on the bridge: IPv4 address, MAC address; empty for any."""

    address: str = ""
    mac: str = ""


class Shared(NamedTuple):
    """A namespace that is another container's, of the directory `where`, or one at the path."""

    namespace: Literal["ipc", "uts", "cgroup", "network", "user"]
    kind: Literal["container", "path"]
    where: str


class Task(NamedTuple):
    """What a monitor does. `directory` is the container's, `trash` where what goes is moved first.

    `names` are what other containers on the network call it. With `remove` the directory and
    `volumes` (directories of its own) go when it has ended. `attached`: its first client is a
    foreground command, and it ends with it. `init`: the path of a reaper to run as process 1.
    `timeout` in seconds, 0 for none. `commons`: where an ordinary user's containers share a network
    (`commons.py`), if they do. `beside`: the directory of the container whose network it shares;
    `shared`: other namespaces that it has from somewhere. `pidfile`: where its process 1 is
    told by its number while it runs, if anywhere.
    """

    identity: str
    directory: str
    trash: str
    spec: SandboxSpec
    names: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    stop_signal: int = 15
    stop_timeout: float = 10.0
    timeout: float = 0.0
    restart: Restart = Restart()
    health: HealthCheck | None = None
    logging: Logging = Logging()
    interactive: bool = False
    stdin_once: bool = True
    remove: bool = False
    volumes: tuple[str, ...] = ()
    attached: bool = False
    commons: str = ""
    beside: str = ""
    shared: tuple[Shared, ...] = ()
    place: Place = Place()
    pidfile: str = ""


class Check(NamedTuple):
    """What one run of a health check came to; times RFC 3339."""

    started: str
    ended: str
    code: int
    output: str


class State(NamedTuple):
    """How a container is. Times RFC 3339, or empty; `pid` is that of its process 1, or 0.

    `groups` are directories of its control groups, in trees named by a controller or "".
    """

    status: Status = "created"
    pid: int = 0
    started: str = ""
    finished: str = ""
    code: int = 0
    oom: bool = False
    error: str = ""
    restarts: int = 0
    health: HealthStatus = ""
    failing: int = 0
    checks: tuple[Check, ...] = ()
    address: str = ""
    ports: tuple[Port, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()


TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *vars(spec).values(),
        IdMap,
        Range,
        Port,
        HealthCheck,
        Restart,
        Logging,
        Place,
        Shared,
        Task,
        Check,
        State,
    )
    if isinstance(kind, type) and issubclass(kind, tuple)
}


def task_path(directory: str) -> str:
    """Return where the task of a container is."""
    return f"{directory}/task.json"


def write_task(task: Task) -> None:
    """Keep the task in the container's directory."""
    documents.write(task_path(task.directory), task)


def read_task(directory: str) -> Task:
    """Return the task of a container. Raises OSError, ValueError."""
    task = documents.read(task_path(directory), TYPES)
    if not isinstance(task, Task):
        raise ValueError(f"{task_path(directory)} holds no task")
    return task


def write_state(directory: str, state: State) -> None:
    """Replace the state of a container."""
    documents.write(f"{directory}/state.json", state)


def read_state(directory: str) -> State:
    """Return how a container is, also when its monitor was killed.

    Raises OSError where there is no such container.
    """
    for _ in range(2):
        alive = not is_free(directory)
        state = _read(directory)
        if alive or state.status in ("created", "exited"):
            return state
        # The monitor may have ended between the two looks; what it wrote last counts.
        state = _read(directory)
        if state.status in ("created", "exited"):
            return state
        if is_free(directory):
            error = "its monitor was killed"
            return state._replace(status="exited", pid=0, code=LOST, error=error, health="")
    return state


def _read(directory: str) -> State:
    try:
        state = documents.read(f"{directory}/state.json", TYPES)
    except FileNotFoundError:
        os.stat(directory)
        return State()
    except ValueError:
        # Cut off by a power failure.
        return State("exited", code=LOST, error="its state was lost")
    return state if isinstance(state, State) else State()


def is_free(directory: str) -> bool:
    """Say whether no monitor looks after a container."""
    try:
        fd = os.open(f"{directory}/lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def hold(directory: str) -> int | None:
    """Take the lock of a container; return its descriptor, None if somebody has it.

    A monitor whose container has ended, which it tells before it has taken its network down, is
    waited for: a start or a removal may follow at once.
    """
    fd = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        patience = time.monotonic() + _LEAVING
        for turn in itertools.count():
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if turn < _LOOKS:
                    os.sched_yield()
                elif _read(directory).status == "exited" and time.monotonic() < patience:
                    time.sleep(0.002)
                else:
                    break
            else:
                return fd
    except BaseException:
        # Nobody else would give it back before the process ends, not even for a signal.
        os.close(fd)
        raise
    os.close(fd)
    return None


class Exec(NamedTuple):
    """A further program in a container. `privileged`: with all capabilities, unfiltered."""

    process: Process
    privileged: bool = False
