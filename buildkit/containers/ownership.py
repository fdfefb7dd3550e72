"""Files that are given to the user of a container before it starts: the option `U` of a mount.

In: a container's task and its mounts. Out: nothing; owner and group of all that is at their sources
are the container's. Imported where that is asked for. Source: podman-run(1), `--volume`, "Chowning
Volume Mounts".

Nothing is followed: the source is opened once, and what counts for what it is, is the descriptor;
below it everything is found from there. What other file systems are mounted below stays as it is.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack

from buildkit.errors import UsageError
from buildkit.tree.descent import Descent
from runtime import accounts, idmap, mounts, owners, safepath
from runtime.spec import Bind, DirectoryRoot, RootFs
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.containers.mounts import Wanted
    from buildkit.state.root import StateRoot
    from runtime.container import Task
    from runtime.spec import SandboxSpec

_MACHINE = (
    "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki", "/etc/shadow", "/home", "/lib",
    "/lib64", "/media", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys",
    "/tmp",  # noqa: S108 - to leave it alone
    "/usr", "/usr/local",
    "/var", "/var/cache", "/var/lib", "/var/log", "/var/spool",
    "/var/tmp",  # noqa: S108 - to leave it alone
)  # fmt: skip
"""What podman refuses to give away and more of the kind, and with it what is above: `/`."""
_WHOLE = ("/bin", "/boot", "/dev", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
"""Refused with all below: the kernel's, and the machine's programs, whose owner decides what root
runs, and which lose their setuid bits and capabilities when it changes, chown(2)."""


class _Gift(NamedTuple):
    """A source, as a descriptor and by its name, and whose it becomes on the disk."""

    fd: int
    path: str
    owner: tuple[int, int]


def give(root: StateRoot, task: Task, wanted: Sequence[Wanted]) -> None:
    """Give the sources of those of `wanted` that ask for it to the user of the container.

    Raises UsageError, before anything is changed, for directories that the machine or its users
    live in, and for a user whom the container's ids leave out; UserError for one that is not there.
    """
    if owners.are_recorded():
        # Every user inside is the caller, and may do with these files what the caller may.
        return
    store, home = os.path.realpath(root.path()), os.environ.get("HOME", "")
    home = os.path.realpath(home) if home else ""
    asking = {one.target for one in wanted if one.chown}
    account = _account(task.spec)
    with ExitStack() as stack:
        gifts = []
        for mount in task.spec.mounts:
            if mount.target in asking and isinstance(mount, Bind):
                fd = _opened(mount)
                stack.callback(os.close, fd)
                path = os.readlink(f"/proc/self/fd/{fd}")
                check(path, store, home)
                gifts.append(_Gift(fd, path, _outer(task.spec, mount, account)))
        for gift in gifts:
            try:
                _give(gift)
            except OSError as error:
                raise UsageError(
                    f"cannot give {error.filename or gift.path} to {gift.owner[0]}:{gift.owner[1]}:"
                    f" {(error.strerror or '').lower()}",
                    hint="leave the option U out, or change the owners beforehand",
                ) from error


def _account(spec: SandboxSpec) -> accounts.Account:
    """Return as whom the container runs, by the files of its root as they are now."""
    root = spec.root
    if isinstance(root, RootFs):
        upper = (root.upper,) if root.upper else ()
        fd = mounts.mounted_overlay_fd((*upper, *root.lowers))
    elif isinstance(root, DirectoryRoot):
        fd = os.open(root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        raise TypeError("the root of a container's task is not mounted yet")
    try:
        return accounts.lookup(fd, spec.process.user)
    finally:
        os.close(fd)


def _opened(mount: Bind) -> int:
    """Open what a mount shows, without reading it."""
    fd = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    if not mount.path:
        return fd
    try:
        return safepath.open_beneath(fd, mount.path, os.O_PATH)
    finally:
        os.close(fd)


def check(path: str, store: str, home: str) -> None:
    """Refuse to give away what the machine, the state root `store` or a user at `home` need.

    All are canonical paths, `home` may be empty. Raises UsageError.
    """
    # The last is memory like any other.
    own = (f"{store}/volumes/", "/usr/local/", "/dev/shm/")  # noqa: S108
    kept = (*_MACHINE, store, *filter(None, (home,)))
    if any(_is_above(path, one) for one in kept) or (
        any(_is_above(one, path) for one in (*_WHOLE, store)) and not path.startswith(own)
    ):
        raise UsageError(
            f"{path} is not given to the user of a container",
            hint="the option U is for directories of that container, "
            "and not for what the machine or you need",
        )


def _is_above(upper: str, lower: str) -> bool:
    """Whether a path is another, or is above it."""
    return f"{lower}/".startswith(f"{upper.rstrip('/')}/")


def _outer(spec: SandboxSpec, mount: Bind, account: accounts.Account) -> tuple[int, int]:
    """Return user and group of the container as they are on the disk at a mount."""
    if spec.ids is None or mount.mapped:
        return account.uid, account.gid
    try:
        return (
            idmap.outward(spec.ids.users, account.uid),
            idmap.outward(spec.ids.groups, account.gid),
        )
    except LookupError:
        raise UsageError(
            f"the ids of the container leave out its user {account.uid}:{account.gid}"
        ) from None


def _give(gift: _Gift) -> None:
    """Give one file, or a directory with all below it. Raises OSError with a `filename`."""
    path = f"/proc/self/fd/{gift.fd}"
    found = os.stat(path)
    if (found.st_uid, found.st_gid) != gift.owner:
        try:
            os.chown(path, *gift.owner)
        except OSError as error:
            raise OSError(error.errno, error.strerror, gift.path) from None
    if stat.S_ISDIR(found.st_mode):
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _give_below(top, found.st_dev, gift.owner)
        finally:
            os.close(top)


def _give_below(top: int, device: int, owner: tuple[int, int]) -> None:
    with Descent(top) as way:
        todo = [os.listdir(top)]
        while todo:
            if not todo[-1]:
                todo.pop()
                if todo:
                    way.leave()
                continue
            name = os.fsencode(todo[-1].pop())
            try:
                found = os.stat(name, dir_fd=way.fd, follow_symlinks=False)
                if found.st_dev != device:
                    continue
                if (found.st_uid, found.st_gid) != owner:
                    os.chown(name, *owner, dir_fd=way.fd, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    todo.append(os.listdir(way.enter(name)))
            except FileNotFoundError:
                continue  # somebody was quicker
            except OSError as error:
                place = os.readlink(f"/proc/self/fd/{way.fd}")
                path = f"{place}/{os.fsdecode(name)}"
                raise OSError(error.errno, error.strerror, path) from None
