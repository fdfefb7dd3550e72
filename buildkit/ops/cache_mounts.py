"""Directories of RUN --mount=type=cache: kept below the state root's `caches/`, by what names them.

In: the mount and the digest of its first content. Out: a directory and, while it is used, a lock as
`sharing` asks. The id is data, not a path: it is hashed (guarantee S14). Another id, first content,
mode or owner is another directory (docs/dockerfile.md, 10.5).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from buildkit.llb.op import CacheMount
from buildkit.progress.cancel import Cancel
from buildkit.state.root import StateRoot
from runtime import owners

_POLL = 0.05


def name_of(mount: CacheMount, content: str) -> str:
    """Return the name of the mount's directory below `caches/`."""
    return named(mount.id, content, mount.mode, mount.uid, mount.gid)


def named(identity: str, content: str, mode: int, uid: int, gid: int) -> str:
    """Return the name of the directory of a mount with these properties."""
    text = json.dumps([1, identity, content, mode, uid, gid])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def directory(
    root: StateRoot,
    mount: CacheMount,
    content: str,
    fill: Callable[[str], None],
    cancel: Cancel,
) -> Iterator[str]:
    """Give the directory of `mount` for the time of a block; `fill` puts the first content in.

    `shared` may have many users at once; `locked` waits for its turn; `private` takes a further
    directory, `-1`, `-2` and so on, when one is in use. Raises Cancelled while waiting.
    """
    name = name_of(mount, content)
    root.use("cache", name)
    tries = 0
    while True:
        suffix = f"-{tries}" if tries else ""
        path = root.path("caches", name + suffix)
        _make(root, path, mount, content, fill)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.utime(fd)  # when it was last used, for collection by age
        try:
            if mount.sharing == "shared" or _take(fd):
                yield f"{path}/fs"
                return
        finally:
            os.close(fd)
        if mount.sharing == "private":
            tries += 1
        else:
            cancel.wait(_POLL)
            cancel.check()


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(
    root: StateRoot, path: str, mount: CacheMount, content: str, fill: Callable[[str], None]
) -> None:
    """Make the directory aside and rename it, so that it is there whole or not at all.

    Beside it `about` tells what it is for: its name does not.
    """
    if os.path.lexists(path):
        return
    made = root.tmp()
    fs = f"{made}/fs"
    with root.writing("caches"):
        os.mkdir(fs, 0o700)
        fill(fs)
        owners.give(fs, mount.uid, mount.gid)
        os.chmod(fs, mount.mode)
        about = [mount.id, content, mount.mode, mount.uid, mount.gid]
        with open(f"{made}/about", "x", encoding="ascii") as file:
            file.write(json.dumps(about))
        try:
            os.rename(made, path)
        except OSError:
            # Somebody else was faster: a directory that is not empty cannot be replaced.
            if not os.path.isdir(path):
                raise
