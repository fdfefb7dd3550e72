"""Small files that save time and are done without where they are missing.

In: a path and bytes. Out: the file, whole or not at all; failing to write one is no error. Imported
where there is something new to note.
"""

from __future__ import annotations

import contextlib
import os


def keep(path: str, data: bytes) -> None:
    """Have the file at `path` hold `data`, if that can be done."""
    # Not by its number alone: in containers that is often the one of a process that was killed.
    aside = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        with open(fd, "wb") as file:
            file.write(data)
        os.rename(aside, path)
    except OSError:
        # Somebody may have cleared it away: that is a reason why there is nothing to rename.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
