"""The files of a container, from outside.

In: a container, running or not. Out: its merged tree as a descriptor, what is different from its
image, a tar of it. While it runs, the tree is the container's own root with all that is mounted
there; afterwards it is its layers. Whoever looks must use `safepath`: links in it lead anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.containers import record as records
from buildkit.containers.store import Container
from buildkit.content.streams import Sink
from buildkit.errors import UsageError
from buildkit.snapshot.layer import LayerWriter, Owned
from buildkit.snapshot.listing import listing
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.removal import remove_tree
from buildkit.tree.walk import GONE, walk
from runtime import container, mounts
from runtime.control import Connection, Look
from runtime.errors import StateError
from runtime.spec import DirectoryRoot, Root, RootFs, SandboxSpec

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def root_of(store: OverlayStore, one: Container, *, writable: bool) -> Iterator[int]:
    """Give a descriptor of a container's root for the time of a block."""
    try:
        _message, fds = Connection.to(one.directory).ask(Look())
    except StateError:
        yield from _at_rest(store, one, writable=writable)
        return
    try:
        yield fds[0]
    finally:
        os.close(fds[0])


def _at_rest(store: OverlayStore, one: Container, *, writable: bool) -> Iterator[int]:
    """Give the root of a container that does not run, and keep it from running meanwhile."""
    spec = container.read_task(one.directory).spec
    if not isinstance(spec.root, RootFs):
        fd = os.open(_path(spec.root), _DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)
        return
    lock = container.hold(one.directory)
    if lock is None:
        raise UsageError(f"container {one.record.name} is just starting", hint="try again")
    upper, work = f"{one.directory}/layer/fs", f"{one.directory}/work"
    fd = -1
    try:
        lowers = _lowers(store, one)
        if spec.ids is not None:
            fd = _shifted(store, one, spec, writable=writable)
        elif not writable:
            fd = mounts.mounted_overlay_fd((upper, *lowers))
        else:
            if not lowers:
                lowers = (_empty(one.directory),)
            remove_tree(work)
            os.mkdir(work, 0o700)
            fd = mounts.overlay_fd(lowers, upper, work)
        yield fd
    finally:
        if fd >= 0:
            os.close(fd)
        os.close(lock)


def _shifted(store: OverlayStore, one: Container, spec: SandboxSpec, *, writable: bool) -> int:
    """Return the root of a container that has ids of its own, as it is on the disk."""
    from runtime import idmapped  # for these only

    if not isinstance(spec.root, RootFs) or spec.ids is None:
        raise UsageError(f"the files of container {one.record.name} cannot be shown")
    root = spec.root._replace(lowers=lowers_of(store, one, spec.root))
    if not writable:
        root = root._replace(readonly=True)
    elif root.work is not None:
        remove_tree(root.work)
        os.mkdir(root.work, 0o700)
    return idmapped.shown(root, spec.ids, f"{one.directory}/mnt")


def outward(one: Container) -> Owned | None:
    """Return what gives a file the owner that the container sees as the one it has now."""
    ids = container.read_task(one.directory).spec.ids
    if ids is None:
        return None
    from buildkit.containers import userns  # for containers with ids of their own

    return userns.outward(ids)


def inward(one: Container) -> Owned | None:
    """Return what gives the owner that a container sees, for the one that a file has."""
    ids = container.read_task(one.directory).spec.ids
    if ids is None:
        return None
    from buildkit.containers import userns  # for containers with ids of their own

    return userns.inward(ids)


def lowers_of(store: OverlayStore, one: Container, root: RootFs) -> tuple[str, ...]:
    """Return the layers of a container, top-most first, or the copy it has of them."""
    return (f"{one.directory}/base",) if root.shifted else _lowers(store, one)


def _path(root: Root) -> str:
    if not isinstance(root, DirectoryRoot):
        raise UsageError("the container has no directory as root")
    return root.path


def _empty(directory: str) -> str:
    path = f"{directory}/empty"
    os.makedirs(path, 0o755, exist_ok=True)
    return path


def _lowers(store: OverlayStore, one: Container) -> tuple[str, ...]:
    snapshot = Snapshot.of(records.diff_ids(one.record.diff_ids))
    return () if snapshot is None else store.lowers(snapshot)


def changes(store: OverlayStore, one: Container) -> Iterator[tuple[str, str]]:
    """Yield letter and path of what a container has changed: A, C or D.

    The empty files and directories that mounts lie on while it runs are no changes.
    """
    places = mount_places(one)
    for letter, path in _changes(store, one):
        if path not in places:
            yield letter, path


def mount_places(one: Container) -> frozenset[str]:
    """Return the paths that mounts of a container lie on."""
    mounted = {mount.target for mount in container.read_task(one.directory).spec.mounts}
    own = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys")
    return frozenset(mounted.union(own))


def _changes(store: OverlayStore, one: Container) -> Iterator[tuple[str, str]]:
    upper = f"{one.directory}/layer/fs"
    if one.record.rootfs or not os.path.isdir(upper):
        raise UsageError("its root file system is a directory, in which changes cannot be told")
    snapshot = Snapshot.of(records.diff_ids(one.record.diff_ids))
    fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if snapshot is None:
            yield from _letters(fd, None, copied=one.record.copied)
            return
        with store.view(snapshot) as below:
            yield from _letters(fd, below, copied=one.record.copied)
    finally:
        os.close(fd)


def _letters(fd: int, below: int | None, *, copied: bool) -> Iterator[tuple[str, str]]:
    if copied:
        from buildkit.containers import copies  # for containers on a copy

        yield from copies.letters(fd, below)
        return
    for change in listing(fd, with_root=False, gone=GONE):
        if change.kind == "opaque":
            continue
        letter = "D"
        if change.kind != "deleted":
            letter = "C" if below is not None and _exists(below, change.path) else "A"
        yield letter, f"/{change.path}"


def _exists(below: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=below, follow_symlinks=False)
    except OSError:
        return False
    return True


def export(store: OverlayStore, one: Container, sink: Sink) -> None:
    """Write a tar of a container's own files; what is mounted there (/proc, volumes) is not."""
    with own_tree(store, one) as tree:
        writer = LayerWriter(sink, owned=inward(one), living=True)
        for entry, fd in walk(tree, gone=GONE):
            if entry.path and not stat.S_ISSOCK(entry.mode):
                writer.add(entry, fd)
        writer.finish()


@contextmanager
def own_tree(store: OverlayStore, one: Container) -> Iterator[int]:
    """Give a descriptor of a container's own files, read-only, whether it runs or not."""
    spec = container.read_task(one.directory).spec
    if isinstance(spec.root, RootFs) and spec.ids is not None:
        tree = _shifted(store, one, spec, writable=False)
    elif isinstance(spec.root, RootFs):
        tree = mounts.mounted_overlay_fd((f"{one.directory}/layer/fs", *_lowers(store, one)))
    else:
        tree = os.open(_path(spec.root), _DIRECTORY)
    try:
        yield tree
    finally:
        os.close(tree)
