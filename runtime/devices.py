"""The /dev of a sandbox: a tmpfs whose own nodes cannot be opened, with the usual ones bound.

In: a detached or attached tmpfs. Out: it, filled. The nodes are bind mounts from the host, each
checked to be the device it should be; so nothing that the sandbox makes with mknod works, as
root of the machine just as rootless. Source: runtime-spec config-linux.md; docs/security.md, S5,
S6.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from runtime import mounts, syscalls
from runtime.errors import SpecError
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.spec import Devices

_TTY_GROUP = "5"
_APART = frozenset({"pts", "shm", "mqueue", "fd"})
"""Directories of /dev that a sandbox has of its own."""
_NODEV = syscalls.MOUNT_ATTR_NODEV
_SAFE = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC


class Node(NamedTuple):
    """A character device every sandbox has."""

    name: str
    major: int
    minor: int


NULL = Node("null", 1, 3)
_NODES = (
    NULL,
    Node("zero", 1, 5),
    Node("full", 1, 7),
    Node("random", 1, 8),
    Node("urandom", 1, 9),
    Node("tty", 5, 0),
)
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)


def open_node(node: Node) -> int:
    """Return an O_PATH descriptor of the host's device, checked to be that device."""
    path = f"/dev/{node.name}"
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(fd)
    number = os.makedev(node.major, node.minor)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != number:
        os.close(fd)
        raise OSError(errno.ENODEV, f"not device {node.major}:{node.minor}", path)
    return fd


def directory(nodev: int) -> int:
    """Return a detached tmpfs for /dev."""
    return mounts.file_system("tmpfs", _SAFE | nodev, {"mode": "0755", "size": "65536k"})


def fill(place: int, wanted: Devices) -> None:
    """Fill the attached tmpfs `place`."""
    for node in _NODES:
        fd = open_node(node)
        _bind(place, node.name, fd)
        os.close(fd)
    for name, target in _LINKS:
        os.symlink(target, name, dir_fd=place)
    os.mkdir("pts", 0o755, dir_fd=place)
    _attach(place, "pts", _terminals())
    os.mkdir("shm", 0o1777, dir_fd=place)
    options = {"mode": "1777", "size": str(wanted.shm_size)}
    _attach(place, "shm", mounts.file_system("tmpfs", _SAFE | _NODEV, options))
    os.mkdir("mqueue", 0o1777, dir_fd=place)
    for device in wanted.extra:
        name = device.target.removeprefix(f"{wanted.target}/")
        parts = name.split("/")
        if name == device.target or not {"", ".", ".."}.isdisjoint(parts):
            raise SpecError(f"a device belongs below {wanted.target}, not at {device.target}")
        if not _is_usual(name, device.source):
            _place(place, parts, device.source)
    if wanted.machine:
        for name in _of_machine():
            # What is there already is the sandbox's own, or gone in the meantime.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                _place(place, name.split("/"), f"/dev/{name}")


def _of_machine() -> Iterator[str]:
    """Yield the devices of the machine, by their names below /dev, but for its terminals'."""
    for directory, below, names in os.walk("/dev"):
        if directory == "/dev":
            below[:] = [name for name in below if name not in _APART]
        for name in names:
            path = f"{directory}/{name}"
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                continue  # it has just been unplugged
            if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and path != "/dev/console":
                yield path.removeprefix("/dev/")


def _is_usual(name: str, source: str) -> bool:
    """Whether a device is at `name` anyway."""
    number = os.stat(source).st_rdev
    return any(node.name == name and os.makedev(*node[1:]) == number for node in _NODES)


def _place(place: int, parts: list[str], source: str) -> None:
    """Show the device `source` below `place`, in directories that are made when missing."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = [os.open(source, os.O_PATH | os.O_CLOEXEC)]
    try:
        for name in parts[:-1]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=place)
            place = os.open(name, flags, dir_fd=place)
            opened.append(place)
        _bind(place, parts[-1], opened[0])
    finally:
        for fd in opened:
            os.close(fd)


def bind_console(terminal: int) -> None:
    """Show the terminal as /dev/console, from within the root that is already pivoted to."""
    place = os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _bind(place, "console", terminal)
    finally:
        os.close(place)


def _bind(place: int, name: str, source: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o666, dir_fd=place))
    _attach(place, name, mounts.pin(source))


def _attach(place: int, name: str, tree: int) -> None:
    try:
        syscalls.move_mount(tree, place, name)
    finally:
        os.close(tree)


def _terminals() -> int:
    options = {"newinstance": None, "ptmxmode": "0666", "mode": "0620"}
    try:
        return mounts.file_system("devpts", _SAFE, {**options, "gid": _TTY_GROUP})
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # The user namespace has no such group.
    return mounts.file_system("devpts", _SAFE, options)
