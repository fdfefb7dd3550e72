"""What `pybuild diff A B` compares: images, and containers with what they wrote.

In: a name. Out: a `Side`, its tree open for as long as the stack of the caller.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from buildkit.containers.files import mount_places, own_tree
from buildkit.containers.store import ContainerStore
from buildkit.errors import ImageError, UsageError
from buildkit.images import ImageStore
from buildkit.inventory.difference import Side
from buildkit.inventory.stack import Stacked, stacked
from buildkit.oci.digest import Digest
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.removal import remove_tree
from buildkit.state.root import StateRoot
from runtime import container


def side_of(root: StateRoot, containers: ContainerStore, name: str, stack: ExitStack) -> Side:
    """Return the image `name`, or else the container. Raises ImageError when it is neither."""
    store = OverlayStore(root)
    stack.callback(store.close)
    try:
        found = ImageStore(root).find(name)
    except ImageError as error:
        try:
            containers.find(name)
        except UsageError:
            raise error from None
        return _container(root, store, containers, name, stack)
    snapshot = Snapshot.of(found.config.diff_ids)
    if snapshot is None:
        return Side(name, _nothing(root, stack), ())
    return Side(name, stack.enter_context(store.view(snapshot)), stacked(root, found.config))


def _container(
    root: StateRoot, store: OverlayStore, containers: ContainerStore, name: str, stack: ExitStack
) -> Side:
    one = containers.find(name)
    if one.record.rootfs:
        raise UsageError(f"container {name}: its root file system is a directory, not an image")
    if container.read_task(one.directory).spec.ids is not None:
        raise UsageError(
            f"container {name} has user ids of its own, which are not those of an image",
            hint="compare what 'pybuild commit' makes of it",
        )
    # Its lease keeps the config also when the image was removed.
    config = ImageStore(root).config(Digest.parse(one.record.config))
    layers = stacked(root, config)
    own = Stacked(len(layers) + 1, f"container {name}", f"{one.directory}/layer/fs", 0, None, name)
    tree = stack.enter_context(own_tree(store, one))
    return Side(name, tree, (*layers, own), mount_places(one))


def _nothing(root: StateRoot, stack: ExitStack) -> int:
    """Return the tree of an image without layers."""
    path = root.tmp()
    stack.callback(remove_tree, path)
    os.chmod(path, 0o755)  # noqa: S103 - as the root of an image is
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
