"""A new container with ids of its own: which they are, and how it gets the files of its image.

In: what the user asked for, and the container in the making. Out: `OwnIds`. Where the kernel shows
layers with other owners (`runtime/idmapped.py`) they stay as they are; elsewhere, as for every
ordinary user, the container gets a copy of them with owners changed, `base`. What it writes has its
outer ids on the disk either way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.containers import userns
from buildkit.containers.user_mode import UserMode
from buildkit.containers.volumes import copy_tree
from buildkit.snapshot.snapshot import Active
from buildkit.state.root import StateRoot
from runtime import idmapped, owners
from runtime.container import Shared
from runtime.idmap import IdMap
from runtime.values import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OwnIds(NamedTuple):
    """The ids; `copied`: of the image there is a copy with other owners, and volumes are alike.

    `user`: as whom the container runs. `passwd`: its /etc/passwd, empty for the image's.
    `shared`: whose user namespace it is in, None for one of its own.
    """

    ids: IdMap
    copied: bool = False
    user: str = ""
    passwd: str = ""
    shared: Shared | None = None


@contextmanager
def given(
    root: StateRoot, mode: UserMode, user: str, tree: int | None, active: Active
) -> Iterator[OwnIds]:
    """Give the ids of a container in the making, which are its own from the end of the block on.

    `tree` is that of the image, None for none; `active` is where the container is made.
    """
    if owners.are_recorded():
        raise userns.without_ids()
    passwd, group = ("", "") if tree is None else userns.files_of(tree)
    with userns.chosen(root, mode, (passwd, group), user) as chosen:
        made = OwnIds(chosen.ids, user=chosen.user, shared=chosen.shared)
        if not user and chosen.user:
            made = made._replace(passwd=userns.passwd_with(passwd, chosen.user) or "")
        if not active.upper:
            yield made
            return
        _shift(active.upper, made.ids)
        if not made.ids.is_identity and not idmapped.are_possible(made.ids, active.directory):
            made = made._replace(copied=True)
            if tree is not None:
                _copy(tree, f"{active.directory}/base", active.directory, made.ids)
        yield made


def _copy(tree: int, target: str, scratch: str, ids: IdMap) -> None:
    os.mkdir(target, 0o700)
    place = os.open(target, _DIRECTORY)
    try:
        copy_tree(tree, place, scratch, owned=userns.outward(ids))
        found = os.stat(".", dir_fd=tree)
        os.fchown(place, found.st_uid, found.st_gid)
        os.fchmod(place, found.st_mode & 0o7777)
    finally:
        os.close(place)
    _shift(target, ids)


def _shift(path: str, ids: IdMap) -> None:
    """Give a directory the owner that the container sees as the one it has now."""
    owned = userns.outward(ids)
    if owned is not None:
        found = os.stat(path)
        os.chown(path, *owned(found.st_uid, found.st_gid))
        os.chmod(path, found.st_mode & 0o7777)
