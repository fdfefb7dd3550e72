"""Stopping, killing and removing containers, through their monitors.

In: containers. Out: them, ended. A monitor that is killed takes its container with it, so a
container without one is ended already.
"""

from __future__ import annotations

import contextlib

from buildkit.containers.store import Container, ContainerStore, not_running
from buildkit.errors import UsageError
from runtime import container
from runtime.control import Connection, Done, Processes, Signal, Stop, Wait
from runtime.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.containers.volumes import VolumeStore
    from buildkit.state.root import StateRoot

_KILL = 9
_MOMENT = 0.002
"""Seconds to wait for the lock of a monitor whose connections have ended already."""


def stop(one: Container, *, signal: int = 0, timeout: float = -1.0, again: bool = False) -> bool:
    """End a container and wait for it; return whether it ran. See `Stop` for the arguments."""
    try:
        connection = Connection.to(one.directory)
        connection.ask(Stop(signal, timeout, again))
    except StateError:
        # It was ended already, or was just ending.
        wait_for_monitor(one)
        return False
    if not again:
        wait_for_monitor(one)
    return True


def kill(one: Container, number: int) -> None:
    """Send a container's program a signal. Raises UsageError where it does not run."""
    if one.state.status not in ("running", "paused"):
        raise not_running(one)
    connection = Connection.to(one.directory)
    connection.send(Signal(number))
    connection.close()


def wait(one: Container, health: str = "") -> int:
    """Wait for the end of a container, or for a health; return its exit code."""
    told = _told(one, Wait(health))
    if not health:
        wait_for_monitor(one)
    try:
        return one.state.code
    except OSError:
        # Removed at its end.
        return told


def _told(one: Container, question: Wait) -> int:
    """Return the exit code that a monitor tells, 0 where there is none."""
    try:
        connection = Connection.to(one.directory)
        try:
            answer, _fds = connection.ask(question)
        finally:
            connection.close()
    except StateError:
        return 0
    return answer.code if isinstance(answer, Done) else 0


def wait_for_monitor(one: Container) -> None:
    """Wait until the monitor of a container has left nothing to do, or another one is there."""
    import fcntl  # only where one ends
    import os
    import time

    try:
        fd = os.open(f"{one.directory}/lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            if _is_served(one):
                return
            time.sleep(_MOMENT)
    finally:
        os.close(fd)


def _is_served(one: Container) -> bool:
    """Whether a monitor answers; one that is ending does not, so this lasts as long as it does."""
    try:
        connection = Connection.to(one.directory)
        try:
            connection.ask(Processes())
        finally:
            connection.close()
    except StateError:
        return False
    return True


def remove(
    containers: ContainerStore,
    one: Container,
    *,
    force: bool = False,
    volumes: VolumeStore | None = None,
    timeout: float = 0.0,
) -> None:
    """Remove a container, with its anonymous volumes where `volumes` is given."""
    if force and not container.is_free(one.directory):
        stop(one, signal=_KILL if not timeout else 0, timeout=timeout)
    try:
        containers.remove(one)
    except FileNotFoundError:
        # It was one that goes by itself.
        pass
    if volumes is not None:
        for volume in one.record.volumes:
            if volume.anonymous:
                _remove_volume(volumes, volume.name)


def _remove_volume(volumes: VolumeStore, name: str) -> None:
    try:
        volumes.remove(name)
    except UsageError:
        return


def volumes_in_use(root: StateRoot) -> dict[str, str]:
    """Return which volume is used by which container."""
    return {
        volume.name: one.record.name
        for one in ContainerStore(root).all()
        for volume in one.record.volumes
    }
