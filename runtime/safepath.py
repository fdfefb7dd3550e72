"""Opening paths that came from outside, inside a root that they cannot leave.

In: a directory descriptor and a path. Out: a descriptor, or the canonical path. Absolute
paths and symlinks start at the root, `..` stops there, magic links are refused. By openat2(2)
where the kernel has it (5.6), else by a walk of one component at a time.
Source: docs/security.md, rule 1 and S7, S12 to S14.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime import syscalls

_CONFINED = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_MAX_LINKS = 40
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open `path` inside the directory `root_fd`; the result is close-on-exec.

    Raises OSError as open(2) does, ELOOP also for a magic link of /proc.
    """
    relative = os.fsencode(path).lstrip(b"/") or b"."
    for _ in range(16):
        try:
            return syscalls.openat2(root_fd, relative, flags, mode, _CONFINED)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.EPERM):
                return _open_walking(root_fd, relative, flags, mode)
            # A rename elsewhere in the tree made the kernel unsure; it asks to be asked again.
            if error.errno != errno.EAGAIN:
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), os.fsdecode(relative))


def resolve(root_fd: int, path: str | bytes) -> str:
    """Return the path, from the root on, that `path` stands for once links are followed.

    What does not exist is kept as it is written, so the result may be made.
    """
    fds, names = _walk(root_fd, os.fsencode(path), follow=True)
    for fd in fds:
        os.close(fd)
    return "/" + "/".join(os.fsdecode(name) for name in names)


def trace(root_fd: int, path: str | bytes) -> tuple[str, frozenset[bytes]]:
    """Return what `resolve` does, and all that it depends on: each name that was looked for.

    The names are canonical paths from the root on, without a leading slash.
    """
    looked: set[bytes] = set()
    fds, names = _walk(root_fd, os.fsencode(path), follow=True, looked=looked)
    for fd in fds:
        os.close(fd)
    return "/" + "/".join(os.fsdecode(name) for name in names), frozenset(looked)


def _open_walking(root_fd: int, path: bytes, flags: int, mode: int) -> int:
    """Open without openat2: resolve to directories pinned one by one, then the last name."""
    fds, names = _walk(root_fd, path, follow=not flags & os.O_NOFOLLOW)
    try:
        parent = fds[-1] if fds else root_fd
        depth = len(fds)
        if depth == len(names):
            # The whole path is a directory that is already open.
            return os.open(".", flags | os.O_CLOEXEC, mode, dir_fd=parent)
        if depth < len(names) - 1:
            number = errno.ENOTDIR if _exists(parent, names[depth]) else errno.ENOENT
            raise OSError(number, os.strerror(number), os.fsdecode(path))
        name = names[-1]
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)
    finally:
        for fd in fds:
            os.close(fd)


def _walk(
    root_fd: int, path: bytes, *, follow: bool, looked: set[bytes] | None = None
) -> tuple[list[int], list[bytes]]:
    """Follow `path`; return open directories below the root, and the canonical names.

    `fds[i]` is the directory named by `names[:i + 1]`; there are fewer descriptors than names
    where the path ends in something else than directories. `looked` gets each name looked for.
    """
    fds: list[int] = []
    names: list[bytes] = []
    todo = _components(path)
    links = 0
    try:
        while todo:
            name = todo.pop(0)
            if name == b"..":
                _leave(fds, names)
                continue
            if looked is not None:
                looked.add(b"/".join([*names, name]))
            target = _enter(root_fd, fds, names, name, link=follow or bool(todo))
            if target is None:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))
            todo = _components(target) + todo
            if target.startswith(b"/"):
                while fds:
                    os.close(fds.pop())
                names.clear()
    except OSError:
        for fd in fds:
            os.close(fd)
        raise
    return fds, names


def _leave(fds: list[int], names: list[bytes]) -> None:
    """Go one component up, at most to the root."""
    if names:
        names.pop()
        if len(fds) > len(names):
            os.close(fds.pop())


def _enter(
    root_fd: int, fds: list[int], names: list[bytes], name: bytes, *, link: bool
) -> bytes | None:
    """Go one component down; return the target instead if it is a link to follow."""
    parent = fds[-1] if fds else root_fd
    if len(fds) < len(names):
        # Something above is missing already, or is no directory.
        names.append(name)
        return None
    try:
        fds.append(os.open(name, _DIRECTORY, dir_fd=parent))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        if link and _is_link(parent, name):
            return os.readlink(name, dir_fd=parent)
    names.append(name)
    return None


def _is_link(parent: int, name: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode)
    except FileNotFoundError:
        return False


def _exists(parent: int, name: bytes) -> bool:
    try:
        os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    return True


def _components(path: bytes) -> list[bytes]:
    return [name for name in path.split(b"/") if name not in (b"", b".")]
