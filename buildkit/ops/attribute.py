"""Whose are the files that a RUN has made, where a user has one id and owners are recorded.

In: the upper directory of a step that is over, the tree below, and who the step ran as. Out: a
record for each new file that nobody has given to anyone: it belongs to that user, and to the group
of its directory where that passes its group on. A file that is there already and was only changed
keeps its owner, which overlayfs has copied up with it.
"""

from __future__ import annotations

import os
import stat

from buildkit.ops.chown import Owner
from buildkit.snapshot.marks import is_opaque, is_whiteout, seen_in
from buildkit.tree.descent import Descent
from runtime import owners
from runtime.values import NamedTuple

_NOBODY_ELSE = (0, 0)


class _Directory(NamedTuple):
    """A directory on the way: what is left to do, whether it is below, whom new files get."""

    todo: list[str]
    below: bool
    owner: Owner


def attribute(upper_fd: int, lower_fd: int | None, user: Owner) -> None:
    """Record the owners of what is new in the upper. Raises OSError."""
    seen = seen_in(upper_fd)
    with Descent(upper_fd) as upper, Descent(upper_fd if lower_fd is None else lower_fd) as lower:
        way = [_Directory(os.listdir(upper_fd), lower_fd is not None, user)]
        while True:
            here = way[-1]
            if here.todo:
                name = here.todo.pop()
                old = _below(name, lower.fd) if here.below else None
                found = os.stat(name, dir_fd=upper.fd, follow_symlinks=False)
                if seen is not None:
                    found = seen(found, upper.fd, os.fsencode(name))
                if is_whiteout(found) or stat.S_ISSOCK(found.st_mode):
                    continue
                group = _owned(owners.at(upper.fd, name), found, old, here.owner)
                if stat.S_ISDIR(found.st_mode):
                    fd = upper.enter(os.fsencode(name))
                    below = old is not None and stat.S_ISDIR(old.st_mode) and not is_opaque(fd)
                    if below:
                        lower.enter(os.fsencode(name))
                    passed_on = found.st_mode & stat.S_ISGID
                    owner = Owner(user.uid, group) if passed_on else user
                    way.append(_Directory(os.listdir(fd), below, owner))
                continue
            way.pop()
            if not way:
                return
            upper.leave()
            if here.below:
                lower.leave()


def _owned(path: bytes, found: os.stat_result, old: os.stat_result | None, owner: Owner) -> int:
    """Record the owner of a file if it is new; return its group."""
    record = owners.recorded(found.st_mode, path)
    if record is not None:
        return record[1]
    is_same_kind = old is not None and stat.S_IFMT(old.st_mode) == stat.S_IFMT(found.st_mode)
    # One that had a record and has none any more was made again.
    if is_same_kind and old is not None and (old.st_uid, old.st_gid) == _NOBODY_ELSE:
        return old.st_gid
    if owner != _NOBODY_ELSE:
        owners.note(path, found.st_mode, *owner, follow_symlinks=False)
    return owner.gid


def _below(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return owners.stat_at(name, dir_fd)
    except FileNotFoundError:
        return None
