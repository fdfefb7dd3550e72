"""Overlays that are mounted for the time of a block."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from runtime import syscalls
from runtime.mounts import overlay_fd


@contextmanager
def mounted(target: str, lowers: Sequence[str], upper: str, work: str) -> Iterator[str]:
    """Mount `lowers` (top-most first) under `upper` at `target`, volatile; gives `target`.

    `work` must be empty, and is of no use afterwards.
    """
    fd = overlay_fd(lowers, upper, work)
    try:
        syscalls.move_mount(fd, syscalls.AT_FDCWD, target)
    finally:
        os.close(fd)
    try:
        yield target
    finally:
        syscalls.umount(target)
