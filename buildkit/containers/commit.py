"""An image of what a container is now.

In: a container, and instructions that change its config. Out: the ID of a new image: the layers of
the container's image, and one of what it wrote. The upper directory is copied first, so that the
container can go on; changes that were made during the copy are in it or not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack

from buildkit.containers import record as records
from buildkit.containers.changes import changed
from buildkit.containers.files import inward
from buildkit.containers.store import Container
from buildkit.containers.volumes import copy_tree
from buildkit.errors import UsageError
from buildkit.images import ImageStore
from buildkit.oci.config import History, ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.layer import Owned
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.root import StateRoot
from runtime import accounts, container, owners


def commit(
    root: StateRoot,
    store: OverlayStore,
    one: Container,
    *,
    name: Reference | None,
    changes: Sequence[str],
    author: str,
    message: str,
) -> Digest:
    """Make the image; return its ID."""
    if one.record.rootfs:
        raise UsageError("a container whose root is a directory has no image to build upon")
    images = ImageStore(root)
    base = ImageConfig(Platform.host())
    if one.record.config:
        base = images.config(Digest.parse(one.record.config))
    wanted = changed(base.config, changes)
    snapshot = Snapshot.of(records.diff_ids(one.record.diff_ids))
    if snapshot is not None and not store.has(snapshot.diff_ids):
        raise UsageError(f"the layers of container {one.record.name} are gone")
    active = store.prepare(snapshot)
    try:
        if one.record.copied:
            _copy_of_copy(store, one, snapshot, active.upper)
        else:
            _copy(f"{one.directory}/layer/fs", active.upper, active.directory, inward(one))
        if owners.are_recorded() and snapshot is not None:
            with store.view(snapshot) as view:
                _attribute(active.upper, view, one)
    except BaseException:
        store.discard(active)
        raise
    committed = store.commit(active)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    history = History(
        created=now, created_by=" ".join(one.record.args), author=author, comment=message
    )
    config = base._replace(
        created=now,
        author=author or base.author,
        config=wanted,
        diff_ids=committed.snapshot.diff_ids,
        history=(*base.history, history),
    )
    return images.add(config.encode(), () if name is None else (name,))


def _copy_of_copy(
    store: OverlayStore, one: Container, snapshot: Snapshot | None, upper: str
) -> None:
    from buildkit.containers import copies  # for containers on a copy

    with ExitStack() as stack:
        view = None if snapshot is None else stack.enter_context(store.view(snapshot))
        copies.upper_of(f"{one.directory}/layer/fs", view, upper)


def _attribute(upper: str, view: int, one: Container) -> None:
    """Record whose the files are that a container of somebody else's than root has made."""
    account = accounts.lookup(view, container.read_task(one.directory).spec.process.user)
    if not account.uid:
        return
    # Only who has a single id pays for the import.
    from buildkit.ops.attribute import attribute
    from buildkit.ops.chown import Owner

    fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attribute(fd, view, Owner(account.uid, account.gid))
    finally:
        os.close(fd)


def _copy(upper: str, target: str, scratch: str, owned: Owned | None) -> None:
    source = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    place = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        copy_tree(source, place, scratch, marks=True, owned=owned)
    finally:
        os.close(source)
        os.close(place)
