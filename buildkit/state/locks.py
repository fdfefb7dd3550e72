"""Locks between processes: `flock` on files below `locks/`.

A lock ends with its holder, however that ends, so there are no stale ones. None is held while a
step runs or the network is waited for, but for `key_lock`, which is for joining equal work.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.state.root import StateRoot


@contextlib.contextmanager
def exclusive(root: StateRoot, name: str) -> Iterator[None]:
    """Hold the lock `name`, a fixed word, alone. Its file stays."""
    fd = _open(root, name)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        _release(fd)


@contextlib.contextmanager
def key_lock(root: StateRoot, name: str) -> Iterator[None]:
    """Hold the lock of one piece of work, named by hex digits. Its file goes with the holder."""
    path = f"key-{name}"
    while True:
        fd = _open(root, path)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            break
        # The holder that was waited for has removed the file: others lock a new one by now.
        os.close(fd)
    try:
        yield
    finally:
        try:
            os.unlink(_path(root, path))
        finally:
            _release(fd)


def _release(fd: int) -> None:
    # A process that another thread forked meanwhile has the descriptor, too: closing ours alone
    # would leave the lock with it.
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _open(root: StateRoot, name: str) -> int:
    with root.writing("locks"):
        return os.open(_path(root, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _path(root: StateRoot, name: str) -> str:
    return root.path("locks", f"{name}.lock")
