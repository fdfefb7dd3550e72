"""Starting a container that is there, for the first time or again.

In: a `Container`. Out: a connection to its monitor.
"""

from __future__ import annotations

import contextlib
import os

from buildkit.containers import record as records
from buildkit.containers.store import Container, remove_groups
from buildkit.errors import UsageError
from buildkit.snapshot.snapshot import Snapshot
from runtime import container, mounts, starting, terminal
from runtime.errors import SandboxError
from runtime.spec import RootFs
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.snapshot.overlay import OverlayStore
    from buildkit.state.root import StateRoot
    from runtime.container import Task
    from runtime.control import Connection
    from runtime.early import Early


class Started(NamedTuple):
    """A container whose monitor was started; `monitor` is a child of ours."""

    connection: Connection
    monitor: int
    task: Task


def start(
    root: StateRoot,
    store: OverlayStore,
    one: Container,
    *,
    attached: bool,
    early: Early | None = None,
) -> Started:
    """Start the monitor of a container. Raises UsageError where it has one.

    The caller can start no other process afterwards. With `attached` the container ends with the
    caller, unless that detaches. `early`: what may become the monitor.
    """
    task = prepared(store, one, attached=attached)
    if task.spec.network == "default" and not mounts.in_initial_user_namespace():
        from runtime import commons  # for ordinary users' containers only

        if commons.is_ours(root.path("network")):
            task = task._replace(commons=root.path("network"))
    lock = None
    try:
        lock = container.hold(one.directory)
        if lock is None:
            raise UsageError(f"container {one.record.name} is running already")
        remove_groups(container.read_state(one.directory))
        if any(mount.chown for mount in one.record.mounts):
            from buildkit.containers import ownership  # for this option only

            ownership.give(root, task, one.record.mounts)
        connection, monitor = starting.start(task, lock, early)
    except BaseException:
        # Unless a monitor has it, nobody does: whoever hears of this may remove the container.
        if lock is not None:
            with contextlib.suppress(OSError):
                os.close(lock)
        raise
    # From here on the container's own marks hold its layers.
    root.release()
    return Started(connection, monitor, task)


def prepared(store: OverlayStore, one: Container, *, attached: bool) -> Task:
    """Return the task of a container with its layers and secrets as they are now."""
    task = container.read_task(one.directory)._replace(
        directory=one.directory, attached=attached, stdin_once=attached
    )
    spec = task.spec
    snapshot = Snapshot.of(records.diff_ids(one.record.diff_ids))
    if isinstance(spec.root, RootFs):
        if snapshot is not None and not store.has(snapshot.diff_ids):
            raise UsageError(f"the layers of container {one.record.name} are gone")
        lowers = () if snapshot is None else store.lowers(snapshot)
        if spec.root.shifted:
            lowers = (f"{one.directory}/base",)
        layer = spec.root._replace(lowers=lowers)
        spec = spec._replace(root=layer)
    if attached and spec.process.terminal:
        spec = spec._replace(process=spec.process._replace(terminal_size=terminal.size()))
    if not attached:
        spec = spec._replace(resources=spec.resources._replace(account=True))
    if one.record.images:
        from buildkit.containers import image_mounts  # for these only

        spec = spec._replace(mounts=image_mounts.filled(store, one.record, spec.mounts))
    if one.record.secrets:
        from buildkit.containers.secrets import secret_file  # for those who have some

        spec = spec._replace(mounts=(*spec.mounts, *map(secret_file, one.record.secrets)))
    return task._replace(spec=spec)


def expect_to_run(started: Started) -> None:
    """Wait until a program runs that nobody stays with. Raises SandboxError if it does not."""
    status = starting.running(started.connection)
    if status is not None:
        raise SandboxError(status.reason)
