"""Room beside a layer where the state root cannot be written: in memory, for this process alone.

In: the directory of a layer, on a file system that is read-only. Out: the same place with the same
in it, where more can be put. It ends with the mount namespace, which is this process's own
(decision 7 of ARCHITECTURE.md). An overlay would not do: it would take the whiteouts of the layer
for its own.
"""

from __future__ import annotations

import os
import stat

from buildkit.snapshot.layout import PIECES
from runtime import mounts, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_OPENED = (PIECES, "on")
"""Directories in which something new may have to lie; others are shown as they are."""


def cover(directory: str, without: Collection[str] = ()) -> None:
    """Mount memory on `directory`, and in it all that was there but for the names `without`.

    Raises OSError.
    """
    below = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        memory = mounts.file_system("tmpfs", 0, {"mode": "0700"})
        try:
            syscalls.move_mount(memory, syscalls.AT_FDCWD, directory)
        finally:
            os.close(memory)
        _show(f"/proc/self/fd/{below}", directory, without)
    finally:
        os.close(below)


def _show(source: str, target: str, without: Collection[str]) -> None:
    for name in os.listdir(source):
        if name in without:
            continue
        is_directory = stat.S_ISDIR(os.stat(f"{source}/{name}", follow_symlinks=False).st_mode)
        if is_directory:
            os.mkdir(f"{target}/{name}", 0o700)
        if is_directory and name in _OPENED:
            _show(f"{source}/{name}", f"{target}/{name}", without)
            continue
        if not is_directory:
            os.close(os.open(f"{target}/{name}", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        syscalls.mount(f"{source}/{name}", f"{target}/{name}", None, syscalls.MS_BIND)
