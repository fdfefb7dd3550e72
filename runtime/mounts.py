"""Mounts by descriptor, with the new mount API (Linux 5.2): overlays, pinned trees, views.

In: paths and descriptors. Out: detached mounts as descriptors, or mounts put in place. Used by
the sandbox for its root and by the builder inside its own mount namespace.
Source: the kernel's filesystems/overlayfs.rst; docs/performance.md, "Overlays".
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

from runtime import syscalls
from runtime.errors import SpecError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


MAX_LOWERS = 500
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@=")
# Redirects and metacopies point into a lower; a layer has no way to say that.
_OPTIONS = (
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("index", "off"),
    ("xino", "off"),
)
_READONLY_VIEW = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NODEV


def mounted_overlay_fd(lowers: Sequence[str], *, scratch: str | None = None) -> int:
    """Return a descriptor to look at a stack of `lowers` (top-most first), read-only.

    It serves as `dir_fd`; the mount is attached nowhere and ends with the descriptor. One lower
    is opened as it is. `scratch` is as for `overlay_fd`.
    """
    if len(lowers) == 1:
        return os.open(lowers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return overlay_fd(lowers, attributes=_READONLY_VIEW, scratch=scratch)


def mount_overlay(
    target: str, lowers: Sequence[str], upper: str, work: str, *, scratch: str | None = None
) -> None:
    """Mount `lowers` (top-most first) under `upper` at `target`, volatile.

    `work` must be empty, and is of no use afterwards. Needs CAP_SYS_ADMIN over the mount
    namespace, as everything here does.
    """
    fd = overlay_fd(lowers, upper, work, scratch=scratch)
    try:
        syscalls.move_mount(fd, syscalls.AT_FDCWD, target)
    finally:
        os.close(fd)


def umount(target: str) -> None:
    """Take the mount at `target` away, at the latest when nobody uses it any more."""
    syscalls.umount(target, syscalls.MNT_DETACH)


@contextmanager
def mounted(target: str, lowers: Sequence[str], upper: str, work: str) -> Iterator[str]:
    """Mount an overlay for the time of a block; gives `target`."""
    mount_overlay(target, lowers, upper, work)
    try:
        yield target
    finally:
        syscalls.umount(target)


def pin(fd: int, path: str = "") -> int:
    """Return a detached copy of the tree at `path` below `fd` (of `fd` itself when empty).

    For `BindFd`, and for `Overlay.lowers`: whoever swaps the path afterwards changes nothing.
    Mounts below are not copied. `path` must have been resolved by `safepath`.
    """
    flags = syscalls.OPEN_TREE_CLONE | (0 if path else syscalls.AT_EMPTY_PATH)
    return syscalls.open_tree(fd, path, flags | syscalls.AT_SYMLINK_NOFOLLOW)


def overlay_fd(
    lowers: Sequence[str],
    upper: str | None = None,
    work: str | None = None,
    *,
    attributes: int = syscalls.MOUNT_ATTR_NODEV,
    scratch: str | None = None,
) -> int:
    """Return a detached overlay of `lowers` (top-most first), under `upper` when there is one.

    `scratch` is an empty directory of the caller's that kernels before 6.7 need for names
    shorter than the real ones; it may be removed afterwards.
    """
    if not lowers or len(lowers) > MAX_LOWERS:
        raise SpecError(f"an overlay has 1 to {MAX_LOWERS} lower layers, not {len(lowers)}")
    opened: list[int] = []
    context = syscalls.fsopen("overlay")
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", "overlay")
        for lower in lowers:
            _set_path(context, "lowerdir+", lower, opened)
        if upper is not None and work is not None:
            _set_path(context, "upperdir", upper, opened)
            _set_path(context, "workdir", work, opened)
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, "volatile")
        for key, value in _OPTIONS:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
        if not in_initial_user_namespace():
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, "userxattr")
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, attributes)
    except OSError as error:
        if error.errno != errno.EINVAL or error.filename != lowers[0]:
            raise
        return _joined_overlay(lowers, upper, work, attributes, scratch)
    finally:
        os.close(context)
        for fd in opened:
            os.close(fd)


def file_system(kind: str, attributes: int, options: Mapping[str, str | None]) -> int:
    """Return a detached mount of a new file system; an option of None is a flag."""
    context = syscalls.fsopen(kind)
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", kind)
        for key, value in options.items():
            command = syscalls.FSCONFIG_SET_FLAG if value is None else syscalls.FSCONFIG_SET_STRING
            syscalls.fsconfig(context, command, key, value)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)


def takes_single_lowers() -> bool:
    """Whether overlays can be told one lower after the other (Linux 6.7)."""
    release = os.uname().release.split(".")
    major, minor = release[0], release[1] if len(release) > 1 else "0"
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (6, 7)


def in_initial_user_namespace() -> bool:
    """Whether ids are the host's own, so that overlays may use `trusted.` attributes."""
    try:
        fd = os.open("/proc/self/uid_map", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        return os.read(fd, 4096).split() == [b"0", b"0", b"4294967295"]
    finally:
        os.close(fd)


def _set_path(context: int, key: str, path: str, opened: list[int]) -> None:
    """Give the kernel a path of any length and spelling: strings end at 255 bytes."""
    name = os.fsencode(path)
    if len(name) > 255 or not _PLAIN.issuperset(name):
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.append(fd)
        name = b"/proc/self/fd/%d" % fd
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, name)
    except OSError as error:
        if key == "upperdir" and error.errno == errno.EINVAL:
            raise UnsupportedError(
                "overlays here",
                f"the file system of {path} cannot hold what changes",
                hint="name a state root on another one, such as ext4, XFS or btrfs, with --root or "
                "PYBUILD_ROOT, or leave PYBUILD_SNAPSHOTTER=overlay out",
            ) from None
        raise OSError(error.errno, error.strerror, path) from None


def _joined_overlay(
    lowers: Sequence[str],
    upper: str | None,
    work: str | None,
    attributes: int,
    scratch: str | None,
) -> int:
    """Make the overlay with mount(2), which takes one page of options, by short links."""
    if scratch is None:
        raise UnsupportedError("overlay by descriptor", "the kernel is older than Linux 6.7")
    directory = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    made: list[str] = []
    try:
        names = [str(number) for number in range(len(lowers))]
        for name, path in (*zip(names, lowers, strict=True), ("u", upper), ("w", work)):
            if path is not None:
                os.symlink(path, name, dir_fd=directory)
                made.append(name)
        os.mkdir("m", dir_fd=directory)
        base = f"/proc/self/fd/{directory}"
        options = ["lowerdir=" + ":".join(f"{base}/{name}" for name in names)]
        options += [f"{key}={value}" for key, value in _OPTIONS]
        if upper is not None:
            options += [f"upperdir={base}/u", f"workdir={base}/w", "volatile"]
        if not in_initial_user_namespace():
            options.append("userxattr")
        syscalls.mount("overlay", f"{base}/m", "overlay", 0, ",".join(options))
        try:
            fd = syscalls.open_tree(directory, "m", syscalls.OPEN_TREE_CLONE)
        finally:
            syscalls.umount(f"{base}/m", syscalls.MNT_DETACH)
        set_attributes(fd, attributes)
        return fd
    finally:
        for name in made:
            os.unlink(name, dir_fd=directory)
        try:
            os.rmdir("m", dir_fd=directory)
        except FileNotFoundError:
            pass
        os.close(directory)


def set_attributes(fd: int, attributes: int, *, recursive: bool = False) -> None:
    """Add attributes to a mount; before Linux 5.12 by a remount of the top one."""
    flags = syscalls.AT_RECURSIVE if recursive else 0
    try:
        syscalls.mount_setattr(fd, attributes, flags=flags)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        raise UnsupportedError("mount attributes", "the kernel is older than Linux 5.12") from None
