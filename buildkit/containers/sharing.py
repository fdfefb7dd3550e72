"""What a new container shares with others: namespaces, the name that goes with one, volumes.

In: `Wanted` namespaces. Out: the options of the container with those of the host, mounts that go
with these, and what its monitor has to join at each start. Imported where one is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from buildkit.containers.mounts import Wanted as Mounted
from buildkit.containers.namespaces import Wanted
from buildkit.containers.store import ContainerStore
from buildkit.errors import UsageError
from buildkit.launch import RunOptions
from runtime.container import Shared, read_task
from runtime.mounts import in_initial_user_namespace
from runtime.spec import Bind, Mount, Tmpfs
from runtime.values import NamedTuple

_SHM, _QUEUES = "/dev/shm", "/dev/mqueue"  # noqa: S108 - both inside and outside


class Sharing(NamedTuple):
    """What comes of it; see the fields of `Task`, `SandboxSpec` and `RunOptions`."""

    options: RunOptions
    mounts: tuple[Mount, ...] = ()
    shared: tuple[Shared, ...] = ()


def of(
    containers: ContainerStore, wanted: tuple[Wanted, ...], options: RunOptions, *, own_ids: bool
) -> Sharing:
    """Return the options with the namespaces, and the others. Raises UsageError for a container
    that is not there. `own_ids`: it has a user namespace of its own.
    """
    shared: list[Shared] = []
    mounts: tuple[Mount, ...] = ()
    for one in wanted:
        if one.kind == "host":
            options = options._replace(shared=(*options.shared, one.namespace))
            if one.namespace == "uts":
                options = options._replace(hostname=os.uname().nodename)
            elif one.namespace == "ipc":
                mounts = _of_host(owned=in_initial_user_namespace() and not own_ids)
        elif one.kind == "path":
            shared.append(Shared(one.namespace, "path", one.where))
        else:
            directory = containers.find(one.where).directory
            spec = read_task(directory).spec
            if spec.ids is not None and not own_ids and not in_initial_user_namespace():
                raise UsageError(
                    f"the {one.namespace} namespace of container {one.where} cannot be shared",
                    hint="it belongs to that container's own user namespace",
                )
            shared.append(Shared(one.namespace, "container", directory))
            if one.namespace == "uts":
                options = options._replace(hostname=spec.hostname)
    return Sharing(options, mounts, tuple(shared))


def _of_host(*, owned: bool) -> tuple[Mount, ...]:
    """Return the host's shared memory; and its queues where it is not ours to mount them anew."""
    paths = [_SHM] if owned else [_SHM, _QUEUES]
    mounts: list[Mount] = [
        Bind(path, path, readonly=False, flags=("nosuid", "noexec"))
        for path in paths
        if os.path.isdir(path)
    ]
    if not owned and not os.path.isdir(_QUEUES):
        mounts.append(Tmpfs(_QUEUES, readonly=True, mode=0o555))
    return tuple(mounts)


def volumes_of(containers: ContainerStore, texts: Sequence[str]) -> tuple[Mounted, ...]:
    """Return the volumes and bind mounts of other containers: `--volumes-from NAME[:OPTIONS]`."""
    found: list[Mounted] = []
    for text in texts:
        name, _, options = text.partition(":")
        unknown = set(filter(None, options.split(","))) - {"ro", "rw", "z"}
        if unknown or not name:
            raise UsageError(
                f"invalid --volumes-from {text!r}", hint="the form is CONTAINER[:ro|rw]"
            )
        record = containers.find(name).record
        names = {volume.target: volume.name for volume in record.volumes}
        for mount in record.mounts:
            if mount.kind in ("tmpfs", "image"):
                continue
            source = names.get(mount.target, mount.source)
            readonly = "ro" in options.split(",") if options else mount.readonly
            # Whose it is, is a matter of the container that it was asked for.
            found.append(mount._replace(source=source, readonly=readonly, chown=False))
    return tuple(found)
