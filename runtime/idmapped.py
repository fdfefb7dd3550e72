"""What a container with other ids than its caller's sees of the caller's files: `--userns`.

In: a spec, and the container's user namespace. Out: the spec with root and binds as detached
mounts. They are made here, by one who may reach the paths and may mount: in its own user namespace
the container may do neither. Layers are shown through idmapped mounts where the kernel has them for
this file system and for overlays (Linux 5.19); what the container writes has its outer ids on the
disk.
Source: mount_setattr(2), "ID-mapped mounts"; the kernel's filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from runtime import mounts, syscalls, userns
from runtime.errors import SandboxError, UnsupportedError
from runtime.spec import (
    Bind,
    BindFd,
    DirectoryRoot,
    Layers,
    Mount,
    MountedRoot,
    Overlay,
    Root,
    RootFs,
    SandboxSpec,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.idmap import IdMap

_CLONE = syscalls.OPEN_TREE_CLONE


def are_possible(ids: IdMap, directory: str) -> bool:
    """Say whether layers below `directory` can be shown with these ids."""
    place = f"{directory}/probe-{os.urandom(4).hex()}"
    os.mkdir(place, 0o700)
    try:
        user = userns.make(ids, network=False)
        try:
            os.close(_overlay(RootFs((directory,)), user.fd, ids, place, 0))
        finally:
            user.close()
    except (OSError, SandboxError):
        return False
    finally:
        os.rmdir(place)
    return True


def shown(root: RootFs, ids: IdMap, place: str) -> int:
    """Return an overlay with the owners that a container with `ids` has on the disk.

    `place` is a directory in which to mount for a moment; it is made when missing.
    """
    os.makedirs(place, 0o700, exist_ok=True)
    user = userns.make(ids, network=False)
    try:
        return _overlay(root, user.fd, ids, place, syscalls.MOUNT_ATTR_NODEV)
    finally:
        user.close()


def prepared(spec: SandboxSpec, user: int, directory: str) -> SandboxSpec:
    """Return `spec` for a sandbox in the user namespace `user`.

    `directory`: the container's, in which something is mounted for a moment. Raises OSError,
    UnsupportedError.
    """
    ids = spec.ids
    if ids is None:
        return spec
    nodev = 0 if spec.security == "insecure" else syscalls.MOUNT_ATTR_NODEV
    opened: list[int] = []
    try:
        made: list[Mount] = []
        for mount in spec.mounts:
            if isinstance(mount, Bind):
                fd = _bound(mount, user, ids)
                opened.append(fd)
                made.append(BindFd(fd, mount.target, mount.readonly, mount.flags, mount.source))
            elif isinstance(mount, Layers):
                fd = _layers(mount, user, ids, f"{directory}/mnt")
                opened.append(fd)
                made.append(BindFd(fd, mount.target, source=mount.source))
            elif isinstance(mount, Overlay):
                fd = _changed(mount, user, ids, f"{directory}/mnt", nodev)
                opened.append(fd)
                flags, source = mount.flags, mount.source
                made.append(BindFd(fd, mount.target, readonly=False, flags=flags, source=source))
            else:
                made.append(mount)
        root = _root(spec.root, user, ids, f"{directory}/mnt", nodev)
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    return spec._replace(root=root, mounts=tuple(made))


def _bound(mount: Bind, user: int, ids: IdMap) -> int:
    recursive = mount.recursive and not mount.mapped
    fd = mounts.clone(mount.source, mount.path, recursive=recursive)
    if mount.mapped and not ids.is_identity:
        _map(fd, user, mount.source)
    return fd


def _layers(mount: Layers, user: int, ids: IdMap, place: str) -> int:
    os.makedirs(place, 0o700, exist_ok=True)
    with _scratch(place):
        lowers = [
            _shown(lower, user, f"{place}/{number}")
            if mount.mapped and not ids.is_identity
            else lower
            for number, lower in enumerate(mount.lowers)
        ]
        os.mkdir(f"{place}/view", 0o700)
        return mounts.pin_in_stack(lowers, mount.path, f"{place}/view")


def _changed(mount: Overlay, user: int, ids: IdMap, place: str, attributes: int) -> int:
    """Return an overlay of directories of the host whose changes are thrown away."""
    os.makedirs(place, 0o700, exist_ok=True)
    lowers = tuple(lower for lower in mount.lowers if isinstance(lower, str))
    root = RootFs(lowers, mount.upper, mount.work, shifted=not mount.mapped)
    return _overlay(root, user, ids, place, attributes)


def _root(root: Root, user: int, ids: IdMap, place: str, attributes: int) -> MountedRoot:
    os.makedirs(place, 0o700, exist_ok=True)
    if isinstance(root, MountedRoot):
        return root
    if isinstance(root, DirectoryRoot):
        if root.readonly:
            root = RootFs((root.path,), readonly=True)
        else:
            flags = _CLONE if not ids.is_identity else _CLONE | syscalls.AT_RECURSIVE
            fd = syscalls.open_tree(syscalls.AT_FDCWD, root.path, flags)
            if not ids.is_identity:
                _map(fd, user, root.path)
            mounts.set_attributes(fd, attributes, recursive=True)
            return MountedRoot(fd)
    return MountedRoot(_overlay(root, user, ids, place, attributes), root.readonly)


def _overlay(root: RootFs, user: int, ids: IdMap, place: str, attributes: int) -> int:
    """Return an overlay; `place` is a directory in which to mount for the moment."""
    with _scratch(place):
        lowers = [
            lower if root.shifted or ids.is_identity else _shown(lower, user, f"{place}/{number}")
            for number, lower in enumerate(root.lowers)
        ]
        upper, work = root.upper, root.work
        if upper is not None and root.readonly:
            lowers.insert(0, upper)
        if not lowers:
            lowers.append(_new(f"{place}/empty", ids))
        if root.readonly or upper is None or work is None:
            upper, work = _new(f"{place}/upper", ids), _new(f"{place}/work", ids)
            mounts.cover(upper, lowers[0])
        return mounts.overlay_fd(lowers, upper, work, attributes=attributes)


@contextmanager
def _scratch(place: str) -> Iterator[None]:
    """Have a file system in memory at `place`, a directory, with all that is mounted in it."""
    scratch = mounts.file_system("tmpfs", syscalls.MOUNT_ATTR_NODEV, {"mode": "0700"})
    syscalls.move_mount(scratch, syscalls.AT_FDCWD, place)
    os.close(scratch)
    try:
        yield
    finally:
        syscalls.umount(place, syscalls.MNT_DETACH)


def _shown(lower: str, user: int, place: str) -> str:
    """Show a layer with the container's ids at `place`."""
    fd = syscalls.open_tree(syscalls.AT_FDCWD, lower, _CLONE)
    try:
        _map(fd, user, lower)
        os.mkdir(place, 0o700)
        syscalls.move_mount(fd, syscalls.AT_FDCWD, place)
    finally:
        os.close(fd)
    return place


def _new(path: str, ids: IdMap) -> str:
    os.mkdir(path, 0o755)
    os.chown(path, *ids.root)
    return path


def _map(fd: int, user: int, path: str) -> None:
    try:
        syscalls.map_ids(fd, user)
    except OSError as error:
        raise UnsupportedError(
            f"other ids for the files of {path}",
            f"no idmapped mount: {(error.strerror or '').lower()}",
            hint="the kernel allows them to root alone, and not on every file system",
        ) from None
