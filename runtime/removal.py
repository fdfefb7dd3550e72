"""Removing trees: of any depth, with any names and modes, with few descriptors.

A tree deeper than `_DEEP` is cut: what lies below is renamed up to the top of what is being
removed and taken from there, so neither the path length nor the number of open files matters.
Others may remove the same tree at the same time: what is gone already is no error.
"""

from __future__ import annotations

import os

_DEEP = 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str | bytes, *, dir_fd: int | None = None) -> None:
    """Remove the file or directory at `path`, if there is one. Does not follow links."""
    try:
        os.unlink(path, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        # unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX.
        pass
    try:
        top = _open(path, dir_fd)
    except FileNotFoundError:
        return
    try:
        # What is cut off arrives in the top directory, so look again until nothing is there.
        while _empty(top, top, 0):
            pass
    finally:
        os.close(top)
    _rmdir(path, dir_fd)


def _empty(fd: int, top: int, depth: int) -> bool:
    """Remove all that is in `fd`; return whether something was cut off into `top` instead."""
    cut = False
    with os.scandir(fd) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in entries:
        if not is_directory:
            _unlink(name, fd)
        elif depth == _DEEP:
            _cut_off(name, fd, top)
            cut = True
        else:
            cut |= _empty_and_remove(name, fd, top, depth)
    return cut


def _empty_and_remove(name: str, parent: int, top: int, depth: int) -> bool:
    try:
        fd = _open(name, parent)
    except FileNotFoundError:
        return False
    try:
        cut = _empty(fd, top, depth + 1)
    finally:
        os.close(fd)
    _rmdir(name, parent)
    return cut


def _rmdir(path: str | bytes, dir_fd: int | None) -> None:
    try:
        os.rmdir(path, dir_fd=dir_fd)
    except FileNotFoundError:
        pass


def _cut_off(name: str, fd: int, top: int) -> None:
    try:
        os.rename(name, os.urandom(12).hex(), src_dir_fd=fd, dst_dir_fd=top)
    except FileNotFoundError:
        pass


def _unlink(name: str, fd: int) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass


def _open(path: str | bytes, dir_fd: int | None) -> int:
    try:
        return os.open(path, _DIRECTORY, dir_fd=dir_fd)
    except PermissionError:
        # Ours but closed even to us, as only happens without CAP_DAC_OVERRIDE.
        os.chmod(path, 0o700, dir_fd=dir_fd)
        return os.open(path, _DIRECTORY, dir_fd=dir_fd)
