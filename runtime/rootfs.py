"""The root of a sandbox while it is made: overlay, mounts in it, masks, and the pivot.

In: mounts as values. Out: them, performed. All of it happens in the sandbox's own mount
namespace. A private tmpfs, attached on top of `/` where no path leads to it, holds what needs
a place: the mount point of the root, contents of files, upper directories that are thrown
away. It goes with the old root.
Source: pivot_root(2), runtime-spec config-linux.md "Default Devices"; docs/security.md, S2, S5, S6.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime import devices, mounts, owners, safepath, syscalls
from runtime.errors import UnsupportedError
from runtime.spec import (
    Bind,
    BindFd,
    Cgroup,
    Devices,
    File,
    Layers,
    Mount,
    MountedRoot,
    MountFlag,
    Mqueue,
    Overlay,
    Proc,
    Root,
    RootFs,
    Sysfs,
    Tmpfs,
)
from runtime.stubs import Stubs
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


_RDONLY = syscalls.MOUNT_ATTR_RDONLY
_NODEV = syscalls.MOUNT_ATTR_NODEV
_KERNEL = syscalls.MOUNT_ATTR_NOSUID | _NODEV | syscalls.MOUNT_ATTR_NOEXEC
_FLAGS: Mapping[MountFlag, int] = {
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
    "nodev": _NODEV,
    "noatime": syscalls.MOUNT_ATTR_NOATIME,
}
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class CgroupView(NamedTuple):
    """What of the control groups a sandbox may look at: the unified tree, or v1 controllers."""

    unified: bool = False
    controllers: tuple[str, ...] = ()


class NewRoot:
    """The root in the making; `fd` is its top directory."""

    def __init__(
        self, root: Root, fds: Mapping[int, int], view: CgroupView, *, with_devices: bool
    ) -> None:
        """Mount `root`; `fds` gives the descriptor for a number in a mount."""
        self._fds = fds
        self._view = view
        self._scratch = self._make_scratch()
        self._names = 0
        attributes = 0 if with_devices else _NODEV
        if isinstance(root, MountedRoot):
            self.fd, thrown_away = fds[root.fd], root.readonly
        elif isinstance(root, RootFs) or root.readonly:
            layers = root if isinstance(root, RootFs) else RootFs((root.path,), readonly=True)
            self.fd, thrown_away = self._overlay_root(layers, attributes)
        else:
            self.fd, thrown_away = self._directory_root(root.path, attributes), False
        syscalls.move_mount(self.fd, self._scratch, "root")
        self.stubs = Stubs(self.fd, thrown_away=thrown_away)

    def _make_scratch(self) -> int:
        attributes = syscalls.MOUNT_ATTR_NOSUID | _NODEV
        scratch = mounts.file_system("tmpfs", attributes, {"mode": "0700"})
        for name in ("root", "empty"):
            os.mkdir(name, 0o755, dir_fd=scratch)
        syscalls.move_mount(scratch, syscalls.AT_FDCWD, "/")
        return scratch

    def _overlay_root(self, root: RootFs, attributes: int) -> tuple[int, bool]:
        """Return the overlay, and whether its changes are thrown away."""
        if root.upper is not None and root.work is not None and not root.readonly:
            fd = self._overlay(root.lowers, root.upper, root.work, attributes)
            return fd, False
        lowers = root.lowers if root.upper is None else (root.upper, *root.lowers)
        return self._overlay(lowers, None, None, attributes), True

    def _directory_root(self, path: str, attributes: int) -> int:
        fd = syscalls.open_tree(
            syscalls.AT_FDCWD, path, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
        )
        mounts.set_attributes(fd, attributes, recursive=True)
        return fd

    def _overlay(
        self, lowers: tuple[str, ...], upper: str | None, work: str | None, attributes: int
    ) -> int:
        """Mount an overlay; without an upper, on directories of the scratch."""
        # What starts from nothing lies on an empty directory.
        lowers = lowers or (f"/proc/self/fd/{self._scratch}/empty",)
        if upper is None or work is None:
            upper, work = self._new_directory(), self._new_directory()
            mounts.cover(upper, lowers[0])
        return mounts.overlay_fd(lowers, upper, work, attributes=attributes)

    def _new_name(self) -> str:
        self._names += 1
        return str(self._names)

    def _new_directory(self) -> str:
        name = self._new_name()
        os.mkdir(name, 0o755, dir_fd=self._scratch)
        return f"/proc/self/fd/{self._scratch}/{name}"

    def place(self, mount: Mount, *, trusted: bool) -> None:
        """Make one mount below the root. Raises OSError as the kernel does."""
        nodev = 0 if trusted else _NODEV
        readonly = 0 if trusted else _RDONLY
        match mount:
            case Bind() | BindFd() | Layers():
                self._bind(mount, nodev)
            case Overlay():
                self._attach(self._extra_overlay(mount, nodev), mount.target)
            case Tmpfs():
                self._attach(_tmpfs(mount), mount.target)
            case File():
                self._attach(self._file(mount), mount.target, directory=False)
            case Proc():
                self._attach(_proc(), mount.target)
            case Sysfs():
                self._attach(_sysfs(readonly), mount.target)
            case Mqueue():
                self._attach(mounts.file_system("mqueue", _KERNEL, {}), mount.target)
            case Cgroup():
                self._cgroups(mount.target, readonly)
            case Devices():
                place = self._attach(devices.directory(nodev), mount.target)
                devices.fill(place, mount)
                os.close(place)
                return
            case _:
                assert_never(mount)

    def _attach(self, fd: int, target: str, *, directory: bool = True) -> int:
        """Put the detached mount `fd` at `target`, which is made when missing."""
        try:
            place = safepath.open_beneath(self.fd, target, os.O_PATH)
        except FileNotFoundError:
            place = self.stubs.make(target, directory=directory)
        try:
            syscalls.move_mount(fd, place)
        except OSError as error:
            number = _misfit(fd, place) or error.errno or errno.EINVAL
            raise OSError(number, os.strerror(number), target) from None
        finally:
            os.close(place)
        return fd

    def _bind(self, mount: Bind | BindFd | Layers, nodev: int) -> None:
        attributes = nodev
        if isinstance(mount, Bind):
            fd = mounts.clone(mount.source, mount.path, recursive=mount.recursive)
        elif isinstance(mount, BindFd):
            fd = self._fds[mount.fd]
        else:
            fd = mounts.pin_in_stack(mount.lowers, mount.path, self._new_directory())
        if isinstance(mount, Layers) or mount.readonly:
            attributes |= _RDONLY
        if not isinstance(mount, Layers):
            attributes |= _attributes(mount.flags)
        mounts.set_attributes(fd, attributes, recursive=True)
        directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        self._attach(fd, mount.target, directory=directory)
        os.close(fd)

    def _extra_overlay(self, mount: Overlay, nodev: int) -> int:
        lowers: list[str] = []
        for lower in mount.lowers:
            if isinstance(lower, str):
                lowers.append(lower)
                continue
            path = self._new_directory()
            syscalls.move_mount(self._fds[lower], syscalls.AT_FDCWD, path)
            lowers.append(path)
        attributes = nodev | _attributes(mount.flags)
        return self._overlay(tuple(lowers), mount.upper, mount.work, attributes)

    def _file(self, mount: File) -> int:
        name = self._new_name()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=self._scratch)
        try:
            os.write(fd, mount.content)
            if not owners.are_recorded():
                os.fchown(fd, mount.uid, mount.gid)
            os.fchmod(fd, mount.mode)
        finally:
            os.close(fd)
        tree = syscalls.open_tree(self._scratch, name, syscalls.OPEN_TREE_CLONE)
        attributes = syscalls.MOUNT_ATTR_NOSUID | _NODEV
        if not mount.mode & 0o111:
            attributes |= syscalls.MOUNT_ATTR_NOEXEC
        mounts.set_attributes(tree, attributes | (_RDONLY if mount.readonly else 0))
        return tree

    def _cgroups(self, target: str, readonly: int) -> None:
        """Show the control group of the sandbox, and nothing above it."""
        try:
            os.close(safepath.open_beneath(self.fd, target, os.O_PATH))
        except FileNotFoundError:
            # A kernel without control groups has no such directory in its sysfs.
            return
        if self._view.unified:
            try:
                self._attach(mounts.file_system("cgroup2", _KERNEL | readonly, {}), target)
            except PermissionError:
                # Inside a container that may not; then there is nothing to see.
                pass
            else:
                return
        place = self._attach(mounts.file_system("tmpfs", _KERNEL, {"mode": "0755"}), target)
        for controller in self._view.controllers:
            os.mkdir(controller, 0o755, dir_fd=place)
            tree = mounts.file_system("cgroup", _KERNEL | readonly, {controller: None})
            syscalls.move_mount(tree, place, controller)
            os.close(tree)
        mounts.set_attributes(place, _RDONLY)
        os.close(place)

    def mask(self, paths: tuple[str, ...]) -> None:
        """Cover what exists of `paths`: directories by an empty one, files by /dev/null."""
        null = devices.open_node(devices.NULL)
        for path in (*paths, *self._throttles()):
            try:
                place = safepath.open_beneath(self.fd, path, os.O_PATH)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                raise
            if stat.S_ISDIR(os.fstat(place).st_mode):
                cover = syscalls.open_tree(self._scratch, "empty", syscalls.OPEN_TREE_CLONE)
                mounts.set_attributes(cover, _KERNEL | _RDONLY)
            else:
                cover = mounts.pin(null)
            syscalls.move_mount(cover, place)
            os.close(cover)
            os.close(place)
        os.close(null)

    def _throttles(self) -> list[str]:
        """Return where each CPU tells how hot it gets."""
        base = "/sys/devices/system/cpu"
        if not os.path.exists(f"{base}/cpu0/thermal_throttle"):
            return []
        names = [name for name in os.listdir(base) if name[:3] == "cpu" and name[3:].isdecimal()]
        return [f"{base}/{name}/thermal_throttle" for name in names]

    def protect(self, paths: tuple[str, ...]) -> None:
        """Make what exists of `paths` read-only."""
        for path in paths:
            try:
                place = safepath.open_beneath(self.fd, path, os.O_PATH)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                raise
            cover = syscalls.open_tree(
                place,
                "",
                syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE,
            )
            mounts.set_attributes(cover, _KERNEL | _RDONLY, recursive=True)
            syscalls.move_mount(cover, place)
            os.close(cover)
            os.close(place)

    def write_sysctls(self, settings: tuple[tuple[str, str], ...]) -> None:
        """Write kernel parameters through the sandbox's own /proc."""
        for name, value in settings:
            path = "/proc/sys/" + name.replace(".", "/")
            fd = safepath.open_beneath(self.fd, path, os.O_WRONLY)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)

    def seal(self) -> None:
        """Make the root read-only; what is mounted below it stays as it is."""
        mounts.set_attributes(self.fd, _RDONLY)

    def pivot(self) -> None:
        """Become the root of the mount namespace; the old root and the scratch go."""
        os.fchdir(self.fd)
        syscalls.pivot_root(".", ".")
        # Now the old root lies on the new one, and on it the scratch: the top-most goes first.
        syscalls.umount(".", syscalls.MNT_DETACH)
        syscalls.umount(".", syscalls.MNT_DETACH)
        os.chdir("/")
        os.close(self._scratch)


def _attributes(flags: tuple[MountFlag, ...]) -> int:
    result = 0
    for flag in flags:
        result |= _FLAGS[flag]
    return result


def _misfit(mount: int, place: int) -> int:
    """Return the errno for a directory that is to cover a file, or the reverse; 0 if it fits.

    move_mount(2) has EINVAL for both, and for much else.
    """
    is_directory = stat.S_ISDIR(os.fstat(mount).st_mode)
    if is_directory == stat.S_ISDIR(os.fstat(place).st_mode):
        return 0
    return errno.ENOTDIR if is_directory else errno.EISDIR


def _tmpfs(mount: Tmpfs) -> int:
    options: dict[str, str | None] = {"mode": f"{mount.mode:o}"}
    if mount.size:
        options["size"] = str(mount.size)
    if mount.uid or mount.gid:
        options |= {"uid": str(mount.uid), "gid": str(mount.gid)}
    attributes = _attributes(mount.flags) | (_RDONLY if mount.readonly else 0)
    return mounts.file_system("tmpfs", attributes, options)


def _proc() -> int:
    try:
        return mounts.file_system("proc", _KERNEL, {})
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise UnsupportedError(
            "a /proc of its own",
            "the /proc here has parts hidden, so the kernel gives no new one",
            hint="in a container, run that with --security-opt unmask=ALL or --privileged",
        ) from error


def _sysfs(readonly: int) -> int:
    try:
        return mounts.file_system("sysfs", _KERNEL | readonly, {})
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
    # The /sys here has parts hidden; showing it again shows no more than that.
    flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
    fd = syscalls.open_tree(syscalls.AT_FDCWD, "/sys", flags)
    mounts.set_attributes(fd, _KERNEL | readonly, recursive=True)
    return fd
