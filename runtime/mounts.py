"""Mounts by descriptor, with the new mount API (Linux 5.2): overlays, pinned trees, views.

In: paths and descriptors. Out: detached mounts as descriptors, or mounts put in place. Used by
the sandbox for its root and by the builder inside its own mount namespace.
Source: the kernel's filesystems/overlayfs.rst; docs/performance.md, "Overlays".
"""

from __future__ import annotations

import errno
import os
import stat

from runtime import safepath, syscalls
from runtime.errors import SpecError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MAX_LOWERS = 500
_FEWER = "join instructions; COPY --from=STAGE / / in a new stage makes one layer of many"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@=")
# Redirects and metacopies point into a lower; a layer has no way to say that.
_OPTIONS = (
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("index", "off"),
    ("xino", "off"),
)
_READONLY_VIEW = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NODEV


def mounted_overlay_fd(lowers: Sequence[str]) -> int:
    """Return a descriptor to look at a stack of `lowers` (top-most first), read-only.

    It serves as `dir_fd`; the mount is attached nowhere and ends with the descriptor. One lower
    is opened as it is.
    """
    if len(lowers) == 1:
        return os.open(lowers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return overlay_fd(lowers, attributes=_READONLY_VIEW)


def pin(fd: int, path: str = "") -> int:
    """Return a detached copy of the tree at `path` below `fd` (of `fd` itself when empty).

    For `BindFd`, and for `Overlay.lowers`: whoever swaps the path afterwards changes nothing.
    Mounts below are not copied. `path` must have been resolved by `safepath`.
    """
    flags = syscalls.OPEN_TREE_CLONE | (0 if path else syscalls.AT_EMPTY_PATH)
    return syscalls.open_tree(fd, path, flags | syscalls.AT_SYMLINK_NOFOLLOW)


def clone(source: str, path: str, *, recursive: bool) -> int:
    """Return a detached copy of the tree at `source`, or of what lies at `path` in that directory.

    `path` may come from outside: links in it end in `source`. `recursive`: with all mounts below.
    Raises OSError, whose `filename` is the path.
    """
    flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if recursive else 0)
    if not path:
        return syscalls.open_tree(syscalls.AT_FDCWD, source, flags)
    root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = safepath.open_beneath(root, path, os.O_PATH)
        try:
            return syscalls.open_tree(found, "", flags | syscalls.AT_EMPTY_PATH)
        finally:
            os.close(found)
    finally:
        os.close(root)


def can_pin_from_detached() -> bool:
    """Whether `pin` takes what lies in a detached mount, as a view is (Linux 6.15)."""
    return _release() >= (6, 15)


def pin_in_stack(lowers: Sequence[str], path: str, place: str) -> int:
    """Return a detached copy of the tree at `path` in a stack of `lowers` (top-most first).

    For kernels that cannot `pin` from a detached mount: the stack is attached at `place`, an empty
    directory, while that is done, and the copy is read-only. One lower is no stack: of that it is
    a part, to be made read-only by the caller. Raises OSError.
    """
    root = mounted_overlay_fd(lowers)
    try:
        if len(lowers) == 1:
            return _pin_below(root, path)
        syscalls.move_mount(root, syscalls.AT_FDCWD, place)
        try:
            return _pin_below(root, path)
        finally:
            syscalls.umount(place, syscalls.MNT_DETACH)
    finally:
        os.close(root)


def _pin_below(root: int, path: str) -> int:
    found = safepath.open_beneath(root, path or ".", os.O_PATH | os.O_NOFOLLOW)
    try:
        return pin(found)
    finally:
        os.close(found)


def overlay_fd(
    lowers: Sequence[str],
    upper: str | None = None,
    work: str | None = None,
    *,
    attributes: int = syscalls.MOUNT_ATTR_NODEV,
) -> int:
    """Return a detached overlay of `lowers` (top-most first), under `upper` when there is one."""
    if not lowers or len(lowers) > MAX_LOWERS:
        raise SpecError(
            f"an overlay has 1 to {MAX_LOWERS} lower layers, not {len(lowers)}", hint=_FEWER
        )
    if not takes_single_lowers():
        # Asking the kernel would not do: before 6.5 it says nothing before the last call.
        return _joined_overlay(lowers, upper, work, attributes)
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
    finally:
        os.close(context)
        for fd in opened:
            os.close(fd)


def cover(upper: str, lower: str) -> None:
    """Give the directory `upper` the owner and mode of what it will lie on."""
    top = os.stat(lower)
    try:
        os.chown(upper, top.st_uid, top.st_gid)
    except OSError as error:
        # Of a user that this user namespace does not know it cannot be; then it is ours.
        if error.errno != errno.EINVAL:
            raise
    os.chmod(upper, stat.S_IMODE(top.st_mode))


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
    return _release() >= (6, 7)


def _release() -> tuple[int, int]:
    """Return the first two numbers of the kernel's release."""
    release = os.uname().release.split(".")
    major, minor = release[0], release[1] if len(release) > 1 else "0"
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


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
            raise _no_upper(path) from None
        raise OSError(error.errno, error.strerror, path) from None


def _no_upper(path: str) -> UnsupportedError:
    return UnsupportedError(
        "overlays here",
        f"the file system of {path} cannot hold what changes",
        hint="name a state root on another one, such as ext4, XFS or btrfs, with --root or "
        "PYBUILD_ROOT, or leave PYBUILD_SNAPSHOTTER=overlay out",
    )


def _joined_overlay(
    lowers: Sequence[str], upper: str | None, work: str | None, attributes: int
) -> int:
    """Make the overlay with mount(2), which takes one page of options, by short names."""
    opened: list[int] = []

    def name(path: str) -> str:
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/self/fd/{opened[-1]}"

    try:
        options = ["lowerdir=" + ":".join(map(name, lowers))]
        options += [f"{key}={value}" for key, value in _OPTIONS]
        if upper is not None and work is not None:
            options += [f"upperdir={name(upper)}", f"workdir={name(work)}", "volatile"]
        if not in_initial_user_namespace():
            options.append("userxattr")
        fd = _mounted_aside(",".join(options))
    except OSError as error:
        if error.errno == errno.E2BIG:
            few = f"Linux {os.uname().release} takes about 200, and 500 from Linux 6.7 on"
            raise UnsupportedError(f"an image of {len(lowers)} layers", few) from None
        if error.errno == errno.EINVAL and upper is not None and not _is_used(work):
            raise _no_upper(upper) from None
        raise
    finally:
        for path_fd in opened:
            os.close(path_fd)
    set_attributes(fd, attributes)
    return fd


def _is_used(work: str | None) -> bool:
    """Whether a volatile overlay has left its mark, with which the kernel takes no other."""
    return os.path.exists(f"{work}/work/incompat/volatile")


def _mounted_aside(options: str) -> int:
    """Mount an overlay with mount(2), and take it off again as a detached mount."""
    # mount(2) needs a place. This one is there for every thread, and no two meet in it.
    place = "/proc/thread-self/fdinfo"
    syscalls.mount("overlay", place, "overlay", 0, options)
    try:
        return syscalls.open_tree(syscalls.AT_FDCWD, place, syscalls.OPEN_TREE_CLONE)
    finally:
        syscalls.umount(place, syscalls.MNT_DETACH)


def set_attributes(fd: int, attributes: int, *, recursive: bool = False) -> None:
    """Add attributes to a mount; before Linux 5.12 by a remount of the top one."""
    flags = syscalls.AT_RECURSIVE if recursive else 0
    try:
        syscalls.mount_setattr(fd, attributes, flags=flags)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        raise UnsupportedError("mount attributes", "the kernel is older than Linux 5.12") from None
