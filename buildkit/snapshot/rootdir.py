"""The attributes of a tree's root directory.

The root is in a layer only when a step changed it, while overlayfs takes the attributes of the
top-most layer's directory whatever the layer says. So an upper directory gets those of its
parent's root when it is made, and what differs afterwards is a change.
"""

from __future__ import annotations

import os
import stat

from buildkit.tree.entry import Xattrs, read_xattrs
from runtime import owners
from runtime.values import NamedTuple


class RootAttributes(NamedTuple):
    """Type and mode, owner, and extended attributes; the time is no attribute."""

    mode: int
    uid: int
    gid: int
    xattrs: Xattrs


PLAIN = RootAttributes(stat.S_IFDIR | 0o755, 0, 0, ())
"""Those of a tree whose layers say nothing about its root."""


def read(fd: int) -> RootAttributes:
    """Return the attributes of an open directory."""
    found = owners.stat_of(fd)
    return RootAttributes(found.st_mode, found.st_uid, found.st_gid, read_xattrs(fd))


def write(path: str, attributes: RootAttributes) -> None:
    """Give them to the new directory at `path`."""
    if attributes.uid or attributes.gid:
        owners.give(path, attributes.uid, attributes.gid)
    os.chmod(path, stat.S_IMODE(attributes.mode))
    for name, value in attributes.xattrs:
        os.setxattr(path, name, value)
