"""Whose ids a container shall have: the values of `--userns`, `--uidmap`, `--subuidname`.

In: their texts. Out: `UserMode`, or UsageError that says what the form is. Imported where one of
these options is given. Source: podman-run(1), "--userns", "--uidmap", "--subuidname".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from buildkit.errors import UsageError
from runtime.idmap import Range
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Kind: TypeAlias = Literal[
    "keep-id", "auto", "nomap", "private", "maps", "names", "container", "path"
]

_LAST = (1 << 32) - 1


class UserMode(NamedTuple):
    """What the user asked for.

    `users` and `groups`: maps of the user's own (`maps`), or what `auto` shall map in any case.
    `uid` and `gid`: who the caller is inside (`keep-id`), None for the same as outside. `size`: of
    `auto`, 0 for what the image needs. `names`: whose subordinate ids, for users and groups.
    `where`: whose namespace it is, that of a `container` (name or ID), or a `path`.
    """

    kind: Kind
    users: tuple[Range, ...] = ()
    groups: tuple[Range, ...] = ()
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    names: tuple[str, str] = ("", "")
    where: str = ""


def mode_of(
    userns: str, uidmap: Sequence[str], gidmap: Sequence[str], names: tuple[str, str]
) -> UserMode | None:
    """Return the mode that the options mean, None for the caller's own namespace."""
    kind, _, rest = userns.partition(":")
    if uidmap or gidmap or any(names):
        if userns not in ("", "private") or ((uidmap or gidmap) and any(names)):
            raise UsageError(
                "--userns, --uidmap/--gidmap and --subuidname/--subgidname exclude each other"
            )
        if any(names):
            return UserMode("names", names=(names[0] or names[1], names[1] or names[0]))
        users, groups = tuple(map(_range, uidmap)), tuple(map(_range, gidmap))
        return UserMode("maps", users or groups, groups or users)
    match kind, rest:
        case "" | "host", "":
            return None
        case "nomap" | "private", "":
            return UserMode("nomap" if kind == "nomap" else "private")
        case "keep-id", _:
            fields = _fields(userns, rest, ("uid", "gid"))
            return UserMode("keep-id", uid=_id(fields.get("uid")), gid=_id(fields.get("gid")))
        case "auto", _:
            return _auto(userns, rest)
        case "container", _ if rest:
            return UserMode("container", where=rest)
        case "ns", _ if rest:
            return UserMode("path", where=os.path.abspath(rest))
        case _:
            raise UsageError(
                f"unknown --userns {userns!r}",
                hint="host, keep-id[:uid=,gid=], auto[:size=,uidmapping=,gidmapping=], "
                "nomap, private, container:NAME, ns:PATH",
            )


def _auto(userns: str, rest: str) -> UserMode:
    mode = UserMode("auto")
    for key, value in _pairs(userns, rest, ("size", "uidmapping", "gidmapping")):
        if key == "size":
            mode = mode._replace(size=_id(value) or 0)
        elif key == "uidmapping":
            mode = mode._replace(users=(*mode.users, _range(value)))
        else:
            mode = mode._replace(groups=(*mode.groups, _range(value)))
    return mode


def _fields(userns: str, rest: str, known: tuple[str, ...]) -> dict[str, str]:
    return dict(_pairs(userns, rest, known))


def _pairs(userns: str, rest: str, known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if key not in known or not equals:
            raise UsageError(
                f"unknown option {part!r} in --userns={userns}",
                hint=f"there are {', '.join(f'{name}=' for name in known)}",
            )
        yield key, value


def _id(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) >= _LAST:
        raise UsageError(f"{text!r} is no id", hint="a number below 4294967295")
    return int(text)


def _range(text: str) -> Range:
    """Parse `CONTAINER:HOST[:AMOUNT]`."""
    parts = [_id(part) or 0 for part in text.split(":")]
    if len(parts) not in (2, 3) or parts[2:] == [0]:
        raise UsageError(f"invalid id map {text!r}", hint="the form is CONTAINER:HOST:AMOUNT")
    inside, outside, length = (*parts, 1)[:3]
    if max(inside, outside) + length > _LAST:
        raise UsageError(f"invalid id map {text!r}: ids end at 4294967294")
    return Range(inside, outside, length)
