"""Containers of `--rm` whose monitor was killed, and with it what would have removed them.

In: a container. Out: it is gone, with its anonymous volumes. docker's daemon does so when it starts
again; here those commands do that come across one. No lock is needed to find out: a container that
is to go is never left by its monitor after it has run, so what has ended and has no monitor is
nobody's; `remove` takes the lock.
"""

from __future__ import annotations

from buildkit.containers.ending import remove
from buildkit.containers.store import Container, ContainerStore
from buildkit.containers.volumes import VolumeStore
from buildkit.errors import BuildError
from runtime import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.state.root import StateRoot


def remove_lost(root: StateRoot) -> None:
    """Remove all containers that have lost their monitor and were to go by themselves."""
    containers = ContainerStore(root)
    for one in list(containers.all()):
        remove_if_lost(root, containers, one)


def remove_if_lost(root: StateRoot, containers: ContainerStore, one: Container) -> bool:
    """Do so with one; return whether it went. What cannot be removed stays for now."""
    if not one.record.remove:
        return False
    try:
        # In this order: one that is just ending has a monitor until it is gone.
        if one.state.status != "exited" or not container.is_free(one.directory):
            return False
        remove(containers, one, volumes=VolumeStore(root))
    except (BuildError, OSError):
        return False
    return True
