"""Taking out of a fresh Debian tree what belongs to this machine or to this moment.

In: the tree as the bootstrap tool left it. Out: one that depends on its packages alone: no
package lists, caches, logs or devices, no name, resolver or machine id, no apt settings of this
machine. Every path is opened inside the tree; a link in it leads nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence

from buildkit.state.removal import remove_tree
from runtime import safepath

_EMPTIED = (
    "dev",
    "run",
    "tmp",
    "var/tmp",
    "var/lib/apt/lists",
    "var/cache/apt",
    "var/cache/ldconfig",
)
"""Directories whose content goes."""

_REMOVED = (
    *(
        "var/lib/dbus/machine-id",
        "etc/apt/apt.conf.d/99mmdebstrap",
        "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    ),
    *(
        "etc/apt/apt.conf.d/00mmdebstrap",
        "etc/apt/auth.conf",
        "etc/apt/sources.list.d/0000debfile.list",
    ),
    *("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-"),
    *("var/lib/dpkg/status-old", "var/lib/dpkg/available-old", "var/lib/dpkg/diversions-old"),
    *("var/lib/dpkg/statoverride-old", "var/cache/debconf/config.dat-old"),
    *("var/cache/debconf/templates.dat-old", "etc/.pwd.lock", "debootstrap"),
)

_BLANKED = ("etc/machine-id", "etc/hostname", "etc/resolv.conf")
"""Files that stay, with nothing in them: programs expect them."""

_DAY = 86400


def clean(directory: str, *, sources: Sequence[str], before: int) -> int:
    """Clean the tree; return the newest time below `before` (seconds) that a file in it has.

    `sources` become the lines of its sources.list; none leaves it as the tool made it.
    """
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        for path in _EMPTIED:
            _empty(root, path)
        for path in _REMOVED:
            _remove(root, path)
        for path in _BLANKED:
            _blank(root, path)
        _empty_logs(root, "var/log")
        if sources:
            # mmdebstrap puts what it was given below sources.list.d, debootstrap into the file.
            _empty(root, "etc/apt/sources.list.d")
            _remove(root, "etc/apt/sources.list")
            _write(root, "etc/apt/sources.list", "".join(f"{line}\n" for line in sources))
        newest = _newest(directory, before)
        _settle_shadow(root, newest)
    finally:
        os.close(root)
    return newest


def _empty(root: int, path: str) -> None:
    with _directory(root, path) as fd:
        if fd >= 0:
            for name in os.listdir(fd):
                remove_tree(name, dir_fd=fd)


def _remove(root: int, path: str) -> None:
    with _directory(root, os.path.dirname(path)) as fd:
        if fd >= 0:
            remove_tree(os.path.basename(path), dir_fd=fd)


def _empty_logs(root: int, path: str) -> None:
    """Remove the logs below `path`, but for empty ones, which belong to packages."""
    with _directory(root, path) as fd:
        if fd < 0:
            return
        for name in os.listdir(fd):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                _empty_logs(root, os.path.join(path, name))
            elif stat.S_ISREG(status.st_mode) and status.st_size:
                os.unlink(name, dir_fd=fd)


def _blank(root: int, path: str) -> None:
    """Empty the file at `path`, if there is one."""
    with _directory(root, os.path.dirname(path)) as fd:
        there = fd >= 0 and os.path.basename(path) in os.listdir(fd)
    if there:
        _remove(root, path)
        _write(root, path, "")


def _write(root: int, path: str, content: str) -> None:
    """Make a file at `path`, where there is none, if its directory exists."""
    with _directory(root, os.path.dirname(path)) as fd:
        if fd < 0:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        opened = os.open(os.path.basename(path), flags, 0o644, dir_fd=fd)
        with open(opened, "w", encoding="utf-8") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)


def _settle_shadow(root: int, newest: int) -> None:
    """Set the day of the last change of a password to the packages' day where it is later."""
    with _directory(root, "etc") as fd:
        if fd < 0 or "shadow" not in os.listdir(fd):
            return
        day = newest // _DAY
        opened = os.open("shadow", os.O_RDWR | os.O_NOFOLLOW, dir_fd=fd)
        with open(opened, "r+", encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(":") for line in file.read().splitlines()]
            for row in rows:
                if len(row) > 2 and row[2].isascii() and row[2].isdigit() and int(row[2]) > day:
                    row[2] = str(day)
            file.seek(0)
            file.truncate()
            file.writelines(":".join(row) + "\n" for row in rows)


def _newest(directory: str, before: int) -> int:
    newest = 0
    for _, _, names, fd in os.fwalk(directory):
        for name in names:
            time = int(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime)
            if newest < time < before:
                newest = time
    return newest


@contextlib.contextmanager
def _directory(root: int, path: str) -> Iterator[int]:
    """Give a descriptor of the directory at `path`, -1 when there is none."""
    try:
        fd = safepath.open_beneath(root, path or ".", os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        yield -1
        return
    try:
        yield fd
    finally:
        os.close(fd)
