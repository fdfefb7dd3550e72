"""A new container: its directory, its volumes, its task.

In: an image (or a directory as root), and what the user asked for. Out: a `Container`, not yet
started. Its layers are marked by this command's lease before they are looked up, and by its own
file `uses` from the moment it is there, so collection never takes them.
"""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import AbstractContextManager, ExitStack

from buildkit.containers.making import Making, Wishes
from buildkit.containers.mounts import Wanted, with_volumes
from buildkit.containers.new_mounts import make_volumes, mounts_of
from buildkit.containers.record import Record, Volume
from buildkit.containers.store import Container, ContainerStore
from buildkit.containers.volumes import VolumeStore
from buildkit.errors import BuildError, UsageError
from buildkit.launch import RunOptions, command_of, sandbox_for
from buildkit.oci.config import ContainerConfig, ResolvedImage
from buildkit.snapshot.snapshot import Active, Snapshot
from runtime.container import HealthCheck, Port, Task, read_task
from runtime.spec import (
    DirectoryRoot,
    Mount,
    Process,
    Root,
    RootFs,
    SandboxSpec,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.containers.own_ids import OwnIds
    from buildkit.containers.user_mode import UserMode
    from buildkit.snapshot.overlay import OverlayStore
    from buildkit.state.root import StateRoot

_SECOND = 1_000_000_000
_EMPTY = SandboxSpec(RootFs(()), Process(()))


def create(root: StateRoot, store: OverlayStore, image: ResolvedImage, wishes: Wishes) -> Container:
    """Make a container of an image."""
    snapshot = Snapshot.of(image.config.diff_ids)
    if snapshot is not None and not store.has(snapshot.diff_ids):
        raise UsageError(f"the layers of image {image.reference} are gone", hint="build it again")
    config = image.config.config
    command_of(config, wishes.options)
    active = store.prepare(snapshot)
    try:
        making = Making(image, config, active, wishes)
        if store.copies:
            return _create(root, store, _copied(store, making))
        if wishes.userns is None:
            return _create(root, store, making)
        with ExitStack() as stack:
            tree = None if snapshot is None else stack.enter_context(store.view(snapshot))
            own = stack.enter_context(_own_ids(root, wishes.userns, making, tree))
            return _create(root, store, making._replace(own=own))
    except BaseException:
        store.discard(active)
        raise


def _copied(store: OverlayStore, making: Making) -> Making:
    """Return the container in the making with a copy of its layers to write in."""
    from buildkit.snapshot.copied import copy_tree  # where there are no overlays to write in

    if making.wishes.userns is not None:
        raise UsageError(
            "a container on a copy of its layers has no user ids of its own",
            hint="put the state root on another file system, such as ext4, XFS or btrfs",
        )
    if making.active.parent is not None:
        with store.view(making.active.parent) as tree:
            copy_tree(tree, making.active.upper)
    return making._replace(copied=True)


def create_of_directory(root: StateRoot, path: str, wishes: Wishes) -> Container:
    """Make a container whose root file system is a directory of the user's."""
    directory = f"{root.tmp()}/container"
    os.mkdir(directory, 0o700)
    active = Active(None, directory, "", "")
    making = Making(None, ContainerConfig(), active, wishes, os.path.abspath(path))
    if not os.path.isdir(making.rootfs):
        raise UsageError(f"there is no directory {making.rootfs}")
    if wishes.userns is None:
        return _create(root, None, making)
    with ExitStack() as stack:
        tree = os.open(making.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, tree)
        own = stack.enter_context(_own_ids(root, wishes.userns, making, tree))
        return _create(root, None, making._replace(own=own))


def _own_ids(
    root: StateRoot, mode: UserMode, making: Making, tree: int | None
) -> AbstractContextManager[OwnIds]:
    from buildkit.containers import own_ids  # for --userns only

    return own_ids.given(root, mode, making.wishes.options.user, tree, making.active)


def _create(root: StateRoot, store: OverlayStore | None, making: Making) -> Container:
    containers = ContainerStore(root)
    wishes = making.wishes
    if wishes.name:
        _check_free(root, containers, wishes.name)
    mounts = (*_mounts_of_others(containers, wishes), *wishes.mounts)
    wanted = with_volumes(mounts, making.config.volumes, wishes.image_volumes)
    volumes: list[Volume] = []
    try:
        volumes.extend(make_volumes(root, store, making, wanted))
        return _added(root, containers, making, wanted, tuple(volumes))
    except BaseException:
        # Nobody else has them.
        for volume in volumes:
            if volume.anonymous:
                with contextlib.suppress(BuildError, OSError):
                    VolumeStore(root).remove(volume.name)
        raise


def _check_free(root: StateRoot, containers: ContainerStore, name: str) -> None:
    """Raise UsageError when a container has this name, but for one that should be gone."""
    try:
        containers.check_free(name)
    except UsageError:
        from buildkit.containers.lost import remove_if_lost  # for a name that is taken

        if not remove_if_lost(root, containers, containers.find(name)):
            raise


def _added(
    root: StateRoot,
    containers: ContainerStore,
    making: Making,
    wanted: tuple[Wanted, ...],
    volumes: tuple[Volume, ...],
) -> Container:
    """Put all together and add the container to those that are there."""
    wishes, config = making.wishes, making.config
    identity = wishes.identity or os.urandom(32).hex()
    name = wishes.name or containers.new_name()
    task = Task(
        identity=identity,
        directory=containers.directory(identity),
        trash=root.path("tmp"),
        spec=_EMPTY,
        names=(name, identity[:12], *_hostname(wishes.options), *wishes.aliases),
        ports=_ports(wishes, config),
        stop_signal=wishes.signal or _image_signal(config),
        stop_timeout=wishes.stop_timeout,
        timeout=wishes.timeout,
        restart=wishes.restart,
        health=_health(wishes, config),
        logging=wishes.logging,
        interactive=wishes.interactive,
        stdin_once=wishes.attached,
        remove=wishes.remove,
        volumes=tuple(root.path("volumes", one.name) for one in volumes if one.anonymous),
        attached=wishes.attached,
        place=wishes.place,
        pidfile=wishes.pidfile,
    )
    task = _with_spec(containers, task, making, mounts_of(root, wanted, volumes, making))
    record = _record(making, task, wanted, volumes)
    return containers.add(record, task, making.active.directory)


def _with_spec(
    containers: ContainerStore, task: Task, making: Making, mounts: tuple[Mount, ...]
) -> Task:
    """Return the task with its sandbox, and with whom that shares namespaces."""
    wishes, own = making.wishes, making.own
    options = wishes.options
    if own is not None and own.user:
        options = options._replace(user=own.user)
    if wishes.beside:
        beside = containers.find(wishes.beside)
        options = _called_as(beside, options)
        task = task._replace(beside=beside.directory)
    if wishes.namespaces:
        from buildkit.containers import sharing  # for these options only

        found = sharing.of(containers, wishes.namespaces, options, own_ids=own is not None)
        options, mounts = found.options, (*mounts, *found.mounts)
        task = task._replace(shared=found.shared)
    if own is not None and own.shared is not None:
        task = task._replace(shared=(*task.shared, own.shared))
    root = _root(making, task.directory)
    spec = sandbox_for(making.config, root, options, name=task.identity[:12], mounts=mounts)
    return task._replace(spec=spec if own is None else spec._replace(ids=own.ids))


def _record(
    making: Making, task: Task, wanted: tuple[Wanted, ...], volumes: tuple[Volume, ...]
) -> Record:
    wishes, config, image = making.wishes, making.config, making.image
    args = task.spec.process.args
    return Record(
        identity=task.identity,
        name=task.names[0],
        created=_now(),
        image="" if image is None else image.reference,
        config="" if image is None else image.config_digest,
        diff_ids=() if image is None else image.config.diff_ids,
        args=args[2:] if wishes.options.init else args,
        labels=tuple(dict((*config.labels, *wishes.labels)).items()),
        mounts=wanted,
        volumes=volumes,
        secrets=wishes.secrets,
        exposed=tuple(sorted({*config.exposed_ports, *wishes.exposed})),
        terminal=wishes.options.terminal,
        remove=wishes.remove,
        rootfs=making.rootfs,
        annotations=wishes.annotations,
        copied=making.copied,
        images=wishes.images,
    )


def _mounts_of_others(containers: ContainerStore, wishes: Wishes) -> tuple[Wanted, ...]:
    if not wishes.volumes_from:
        return ()
    from buildkit.containers import sharing  # for this option only

    return sharing.volumes_of(containers, wishes.volumes_from)


def _called_as(beside: Container, options: RunOptions) -> RunOptions:
    """Return the options with the host name of the container whose network is shared."""
    return options._replace(hostname=read_task(beside.directory).spec.hostname)


def _root(making: Making, directory: str) -> Root:
    if making.rootfs:
        return DirectoryRoot(making.rootfs, readonly=making.wishes.options.readonly)
    if making.copied:
        return DirectoryRoot(f"{directory}/layer/fs", readonly=making.wishes.options.readonly)
    # The layers are filled in at each start: where they are may change.
    copied = making.own is not None and making.own.copied
    return RootFs((), f"{directory}/layer/fs", f"{directory}/work", shifted=copied)


def _ports(wishes: Wishes, config: ContainerConfig) -> tuple[Port, ...]:
    ports = list(wishes.ports)
    if wishes.publish_all:
        from runtime import published  # for this option only

        known = {(port.inside, port.protocol) for port in ports}
        for text in sorted({*config.exposed_ports, *wishes.exposed}):
            found = published.parse(text)
            ports.extend(port for port in found if (port.inside, port.protocol) not in known)
    return tuple(ports)


def _hostname(options: RunOptions) -> tuple[str, ...]:
    return (options.hostname,) if options.hostname else ()


def _image_signal(config: ContainerConfig) -> int:
    from buildkit.containers.flags import parse_signal  # for few images only

    return parse_signal(config.stop_signal) if config.stop_signal else 15


def _health(wishes: Wishes, config: ContainerConfig) -> HealthCheck | None:
    if not wishes.checks or (wishes.health is None and config.healthcheck is None):
        return None
    from buildkit.containers import health  # for those who have a check

    return health.chosen(wishes.health, config)


def _now() -> str:
    seconds, rest = divmod(time.time_ns(), _SECOND)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
