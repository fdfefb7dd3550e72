"""Users and groups of an image: who a process becomes.

In: the root of the image and `user[:group]`. Out: numbers, and the home directory. The files
are opened inside the image's root, as regular files of limited size.
Source: docs/security.md, S8; image-spec config.md, "User"; group rules as in the container engines.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime import safepath
from runtime.errors import UserError
from runtime.values import NamedTuple

MAX_ID = (1 << 32) - 2
_MAX_FILE = 16 << 20


class Account(NamedTuple):
    """The ids of a process; `groups` holds the primary group, too."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def lookup(root_fd: int, user: str, groups: tuple[str, ...] = ()) -> Account:
    """Find `user` (empty, name, number, each with `:group`) in the image at `root_fd`."""
    passwd = read_file(root_fd, "/etc/passwd")
    group = read_file(root_fd, "/etc/group")
    return find(passwd, group, user, groups)


def find(passwd: str, group: str, user: str, groups: tuple[str, ...] = ()) -> Account:
    """Find `user` by the texts of the two files.

    Without a group, the groups that name the user are supplementary; with one, it is the only
    one. A number need not be in the files.
    """
    user_part, colon, group_part = user.partition(":")
    entry = _user(passwd, user_part or "0")
    if entry is None:
        number = number_of(user_part or "0")
        if number is None:
            raise _missing("user", "become", user_part)
        entry = ("", number, 0, "/")
    name, uid, gid, home = entry
    supplementary: list[int] = []
    if colon and group_part:
        gid = _group(group, group_part)
    elif name:
        supplementary = [number for number, members in _memberships(group) if name in members]
    supplementary += [_group(group, extra) for extra in groups]
    every = dict.fromkeys((gid, *supplementary))
    return Account(uid=uid, gid=gid, groups=tuple(every), home=home or "/")


def read_file(root_fd: int, path: str) -> str:
    """Return the text of a regular file of the image, empty when there is none."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = safepath.open_beneath(root_fd, path, flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return ""
        raise
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UserError("look users up", f"{path} of the image is not a regular file")
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise UserError("look users up", f"{path} of the image is larger than {_MAX_FILE} bytes")
    return data.decode("utf-8", "surrogateescape")


def _user(passwd: str, wanted: str) -> tuple[str, int, int, str] | None:
    """Return name, uid, gid and home of the first line with that name or number."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) < 4 or not fields[0]:
            continue
        uid, gid = number_of(fields[2]), number_of(fields[3])
        if uid is None or gid is None:
            continue
        if fields[0] == wanted or str(uid) == wanted:
            return fields[0], uid, gid, fields[5] if len(fields) > 5 else ""
    return None


def _group(group: str, wanted: str) -> int:
    for line in group.splitlines():
        fields = line.split(":")
        number = number_of(fields[2]) if len(fields) > 2 else None
        if number is not None and wanted in (fields[0], str(number)):
            return number
    number = number_of(wanted)
    if number is None:
        raise _missing("group", "join", wanted)
    return number


def _memberships(group: str) -> list[tuple[int, frozenset[str]]]:
    result = []
    for line in group.splitlines():
        fields = line.split(":")
        number = number_of(fields[2]) if len(fields) > 3 else None
        if number is not None:
            result.append((number, frozenset(fields[3].split(","))))
    return result


def number_of(text: str) -> int | None:
    """Return a decimal id; None for what is no number, or none of an id."""
    # Length first: a long string of digits must not become a slow or refused conversion.
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        return None
    number = int(text)
    return number if number <= MAX_ID else None


def _missing(kind: str, verb: str, wanted: str) -> UserError:
    if wanted.isdecimal():
        return UserError(f"{verb} {kind} {wanted[:20]}", f"ids go from 0 to {MAX_ID}")
    file = "passwd" if kind == "user" else "group"
    return UserError(
        f"{verb} {kind} {wanted}",
        # The words of the engines, which people search for.
        f"unable to find {kind} {wanted}: no matching entries in {file} file",
        hint="create it in an earlier step, or give a number",
    )
