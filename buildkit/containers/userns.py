"""The ids of a container that shall have its own, and whose the files of its image become.

In: a `UserMode`, and what this process holds. Out: an `IdMap` from the container's ids to those of
this process. Imported where one of the options is given. Source: podman-run(1); subuid(5).
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from buildkit.containers.store import ContainerStore
from buildkit.containers.user_mode import UserMode
from buildkit.errors import ImageError, UsageError
from buildkit.snapshot.layer import Owned
from buildkit.state.locks import exclusive
from buildkit.state.root import StateRoot
from runtime import accounts, container, idmap, joining, mounts
from runtime import userns as namespace
from runtime.container import Shared
from runtime.idmap import IdMap, Range
from runtime.values import NamedTuple

_LEAST = 1024
"""The smallest size of `auto`, as with podman."""
_NOBODY = 65534
_POOL = "containers"
"""Whose subordinate ids root's `auto` hands out."""


class Chosen(NamedTuple):
    """What becomes of it; `user`: as whom the container runs unless told, empty for the image's;
    `shared`: whose namespace that is, None for one of its own.
    """

    ids: IdMap
    user: str = ""
    shared: Shared | None = None


@contextmanager
def chosen(root: StateRoot, mode: UserMode, passwd: Sequence[str], user: str) -> Iterator[Chosen]:
    """Give the ids of a new container, which are its own from the end of the block on.

    `passwd`: texts of the image's passwd and group files; `user`: as whom the user asks it to run.
    """
    if mode.kind in ("container", "path"):
        yield _of_others(root, mode)
        return
    if mode.kind != "auto":
        yield _fixed(mode, user)
        return
    with exclusive(root, "ids"):
        tasks = [container.read_task(one.directory) for one in ContainerStore(root).all()]
        taken = [task.spec.ids for task in tasks if task.spec.ids is not None]
        size = mode.size or max(_LEAST, 1 + max(map(_highest, passwd), default=0))
        held = _pool() if _is_machine_root() else _held()
        first = _free(held.users, [ids.users for ids in taken], size)
        group = _free(held.groups, [ids.groups for ids in taken], size)
        yield Chosen(
            IdMap(_around(mode.users, size, first), _around(mode.groups, size, group)),
        )


def _of_others(root: StateRoot, mode: UserMode) -> Chosen:
    """Return the ids of a namespace that is there, which may be gone at the next start."""
    if mode.kind == "container":
        one = ContainerStore(root).find(mode.where)
        ids = container.read_task(one.directory).spec.ids
        if ids is None:
            raise UsageError(
                f"container {mode.where} has no user namespace of its own",
                hint="leave --userns out: both are in yours then",
            )
        return Chosen(ids, shared=Shared("user", "container", one.directory))
    fd = joining.of_path("user", mode.where)
    try:
        if os.path.samestat(os.fstat(fd), os.stat("/proc/self/ns/user")):
            raise UsageError(
                f"the user namespace {mode.where} is your own", hint="as in --userns=host"
            )
        ids = namespace.ids_at(fd)
    finally:
        os.close(fd)
    _check(ids.users, _held().users)
    _check(ids.groups, _held().groups)
    return Chosen(ids, shared=Shared("user", "path", mode.where))


def _fixed(mode: UserMode, user: str) -> Chosen:
    held = _held()
    if mode.kind == "private":
        return Chosen(_same(held))
    if mode.kind == "maps":
        for ranges, own in ((mode.users, held.users), (mode.groups, held.groups)):
            _check(ranges, own)
        return Chosen(IdMap(mode.users, mode.groups))
    if mode.kind == "names":
        return Chosen(_named(mode.names))
    if _is_machine_root():
        raise UsageError(
            f"--userns={mode.kind} is for ordinary users",
            hint="as root, --userns=auto or --uidmap give a container other ids",
        )
    users, groups = _subordinate(held.users), _subordinate(held.groups)
    if mode.kind == "nomap":
        return Chosen(IdMap((Range(0, 1, users),), (Range(0, 1, groups),)))
    uid = held.users[0].outside if mode.uid is None else mode.uid
    gid = held.groups[0].outside if mode.gid is None else mode.gid
    ids = IdMap(_kept(uid, users), _kept(gid, groups))
    return Chosen(ids, user or f"{uid}:{gid}")


def _kept(number: int, others: int) -> tuple[Range, ...]:
    """Map our own id, 0 here, to `number`, and the others around it."""
    ranges = [Range(0, 1, min(number, others)), Range(number, 0, 1)]
    if others > number:
        ranges.append(Range(number + 1, number + 1, others - number))
    return tuple(one for one in ranges if one.length)


def _held() -> IdMap:
    """Return the ids of this process's user namespace, and what they are outside of it."""
    found = []
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}", encoding="ascii") as lines:
            found.append(tuple(Range(*map(int, line.split())) for line in lines))
    return IdMap(found[0], found[1])


def _is_machine_root() -> bool:
    return mounts.in_initial_user_namespace()


def _same(held: IdMap) -> IdMap:
    """Map every id to itself."""
    users, groups = (
        tuple(Range(one.inside, one.inside, one.length) for one in ranges)
        for ranges in (held.users, held.groups)
    )
    return IdMap(users, groups)


def _subordinate(ranges: tuple[Range, ...]) -> int:
    """Return how many ids there are beside our own."""
    count = sum(one.length for one in ranges) - 1
    if count < 1:
        raise without_ids()
    return count


def without_ids() -> UsageError:
    """Return the error of those who have no ids to give."""
    return UsageError(
        "there are no subordinate ids to give to a container",
        hint="let an administrator add some: usermod --add-subuids FIRST-LAST "
        "--add-subgids FIRST-LAST USER",
    )


def _check(ranges: tuple[Range, ...], held: tuple[Range, ...]) -> None:
    """Refuse maps that the kernel would not take, and those without a root."""
    mine = sum(one.length for one in held)
    for one in ranges:
        if one.outside + one.length > mine:
            raise UsageError(
                f"the ids from {one.outside} to {one.outside + one.length - 1} are not all yours",
                hint=f"they count from yours, which is 0, and yours end at {mine - 1}",
            )
    ordered = sorted(ranges)
    for one, other in itertools.pairwise(ordered):
        if one.inside + one.length > other.inside:
            raise UsageError(f"two id maps have the container's id {other.inside}")
    if not any(one.inside == 0 for one in ranges):
        raise UsageError("the id maps leave the container without a root", hint="map its id 0")


def _named(names: tuple[str, str]) -> IdMap:
    if not _is_machine_root():
        raise UsageError(
            "--subuidname and --subgidname are for root",
            hint="your own subordinate ids are those of --userns=nomap and --userns=auto",
        )
    found = []
    for name, path in zip(names, ("/etc/subuid", "/etc/subgid"), strict=True):
        parts = _listed(name, path)
        if not parts:
            raise UsageError(f"{path} has no ids for {name!r}")
        found.append(parts)
    return IdMap(found[0], found[1])


def _listed(name: str, path: str) -> tuple[Range, ...]:
    """Return what a file gives to a name, as a map from 0 on."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    ranges: list[Range] = []
    inside = 0
    for first, length in idmap.subordinate(text, name, -1):
        ranges.append(Range(inside, first, length))
        inside += length
    return tuple(ranges)


def _pool() -> IdMap:
    """Return what root's containers may have, as ids to themselves."""
    found = []
    for path in ("/etc/subuid", "/etc/subgid"):
        parts = _listed(_POOL, path)
        if not parts:
            raise UsageError(
                f"--userns=auto takes its ids from those of {_POOL!r}, of which {path} has none",
                hint=f"add a line such as {_POOL}:2147483647:2147483648",
            )
        found.append(tuple(Range(one.outside, one.outside, one.length) for one in parts))
    return IdMap(found[0], found[1])


def _free(held: tuple[Range, ...], taken: Sequence[tuple[Range, ...]], size: int) -> int:
    """Return the first of `size` ids of ours that no container has."""
    used = sorted((one.outside, one.outside + one.length) for ranges in taken for one in ranges)
    for one in held:
        # Our own id is not handed out.
        start = one.inside or 1
        for first, end in used:
            if start + size <= first:
                break
            start = max(start, end)
        if start + size <= one.inside + one.length:
            return start
    if sum(one.length for one in held) < 2:
        raise without_ids()
    raise UsageError(
        f"there are no {size} ids in a row that no container has",
        hint="remove containers with --userns, or ask for less with --userns=auto:size=N",
    )


def _around(forced: tuple[Range, ...], size: int, first: int) -> tuple[Range, ...]:
    """Map the ids 0 to `size` to those from `first` on, but for what is forced."""
    ranges: list[Range] = []
    inside = 0
    for one in (*sorted(forced), Range(size, 0, 1)):
        end = min(one.inside, size)
        if end > inside:
            ranges.append(Range(inside, first, end - inside))
            first += end - inside
        inside = max(inside, one.inside + one.length)
    return tuple(sorted((*ranges, *forced)))


def _highest(text: str) -> int:
    """Return the highest id that a passwd or group file speaks of."""
    fields = (field for line in text.splitlines() for field in line.split(":")[2:4])
    numbers = (int(field) for field in fields if re.fullmatch("[0-9]{1,10}", field))
    return max((number for number in numbers if number < _NOBODY), default=0)


def passwd_with(text: str, user: str) -> str | None:
    """Return an image's passwd file with a line for `UID:GID`, None where it needs none."""
    uid, _, gid = user.partition(":")
    if not uid.isdecimal() or not text:
        return None
    names = {line.split(":")[0] for line in text.splitlines()}
    if any(line.split(":")[2:3] == [uid] for line in text.splitlines()):
        return None
    name = _caller_name()
    if not name or name in names:
        name = f"user{uid}"
    end = "" if text.endswith("\n") else "\n"
    return f"{text}{end}{name}:*:{uid}:{gid or 0}:{name}:/:/bin/sh\n"


def _caller_name() -> str:
    import pwd  # the name services cost much, and only keep-id asks

    try:
        return pwd.getpwuid(_held().users[0].outside).pw_name
    except KeyError:
        return ""


def files_of(tree: int) -> tuple[str, str]:
    """Return the passwd and group files of an image."""
    return accounts.read_file(tree, "/etc/passwd"), accounts.read_file(tree, "/etc/group")


def outward(ids: IdMap | None) -> Owned | None:
    """Return what gives files of an image the owners that a container sees as the image's."""
    if ids is None or ids.is_identity:
        return None

    def owned(uid: int, gid: int) -> tuple[int, int]:
        try:
            return idmap.outward(ids.users, uid), idmap.outward(ids.groups, gid)
        except LookupError:
            raise ImageError(
                f"there is a file of user {uid} and group {gid}, which the ids of the container "
                "leave out",
                hint="give it more of them, as with --userns=auto:size=65536",
            ) from None

    return owned


def inward(ids: IdMap | None) -> Owned | None:
    """Return the other way round; whom the container does not know is nobody."""
    if ids is None or ids.is_identity:
        return None

    def owned(uid: int, gid: int) -> tuple[int, int]:
        return _inward(ids.users, uid), _inward(ids.groups, gid)

    return owned


def _inward(ranges: tuple[Range, ...], number: int) -> int:
    try:
        return idmap.inward(ranges, number)
    except LookupError:
        return _NOBODY
