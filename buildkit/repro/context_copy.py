"""A context as another checkout of the same files leaves it: new, made in another order.

In: a directory and which of its files a build sees. Out: a copy. Contents, links and modes are the
same; times are now.
"""

from __future__ import annotations

import os
import shutil
import stat

from buildkit.context.local import LocalContext
from buildkit.errors import ContextError

_OTHER_UMASK = 0o077


def copy_context(
    source: str, target: str, dockerfile: str | None, *, backwards: bool, times: bool, modes: bool
) -> None:
    """Copy what a build sees of `source` to the new directory `target`. Raises ContextError.

    `backwards`: the last file is made first. `times`: they become now. `modes`: those that a
    checkout with another umask has.
    """
    context = LocalContext.open(source, dockerfile=dockerfile)
    try:
        paths = [one.path for one in context.list() if one.seen]
    finally:
        context.close()
    os.mkdir(target, 0o755)
    _copy(source, target, "", modes=modes, times=times)
    made: dict[tuple[int, int], str] = {}
    for path in reversed(paths) if backwards else paths:
        try:
            _place(source, target, path, made, modes=modes, times=times)
        except OSError as error:
            raise ContextError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    for path in sorted(paths, reverse=True):
        if os.path.isdir(f"{source}/{path}") and not os.path.islink(f"{source}/{path}"):
            _copy(source, target, path, modes=modes, times=times)


def _place(
    source: str,
    target: str,
    path: str,
    made: dict[tuple[int, int], str],
    *,
    modes: bool,
    times: bool,
) -> None:
    old, new = f"{source}/{path}", f"{target}/{path}"
    found = os.lstat(old)
    if stat.S_ISDIR(found.st_mode):
        os.makedirs(new, exist_ok=True)
        return
    os.makedirs(os.path.dirname(new), exist_ok=True)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(old), new)
        if not times:
            os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)
    elif stat.S_ISREG(found.st_mode):
        identity = (found.st_dev, found.st_ino)
        if identity in made:
            os.link(made[identity], new)
            return
        shutil.copyfile(old, new)
        _copy(source, target, path, modes=modes, times=times)
        made[identity] = new


def _copy(source: str, target: str, path: str, *, modes: bool, times: bool) -> None:
    """Copy the mode and, unless they are to be new, the times."""
    found = os.stat(f"{source}/{path}")
    mode = stat.S_IMODE(found.st_mode)
    os.chmod(f"{target}/{path}", mode & ~_OTHER_UMASK if modes else mode)
    if not times:
        os.utime(f"{target}/{path}", ns=(found.st_atime_ns, found.st_mtime_ns))
