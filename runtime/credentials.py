"""The ids that a process thinks it has, where the kernel can give it none but one.

In: what it has by now and what it asks for. Out: what it has afterwards, or that it may not. Pure.
Source: credentials(7), setuid(2), setreuid(2), setresuid(2), setgroups(2); who is user 0 has
CAP_SETUID and CAP_SETGID.
"""

from __future__ import annotations

from runtime.values import NamedTuple

UNCHANGED = 0xFFFFFFFF

Three = tuple[int, int, int]
"""Real, effective and saved id."""


class Credentials(NamedTuple):
    """Users and groups of a process."""

    users: Three = (0, 0, 0)
    groups: Three = (0, 0, 0)
    supplementary: tuple[int, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether it may take any id."""
        return self.users[1] == 0

    @property
    def is_all_root(self) -> bool:
        """Whether it has no id of anybody else, but for supplementary groups."""
        return not any((*self.users, *self.groups))


ROOT = Credentials()


def answer(call: str, has: Credentials) -> int | None:
    """Return what a call that asks for one id returns; None for other calls."""
    place = {"getuid": (0, 0), "geteuid": (0, 1), "getgid": (1, 0), "getegid": (1, 1)}.get(call)
    return None if place is None else (has.users, has.groups)[place[0]][place[1]]


def changed(call: str, wanted: tuple[int, ...], has: Credentials) -> Credentials | None:
    """Return the credentials after `call` with the ids `wanted`; None where it is not allowed.

    `call` is setuid, setreuid, setresuid, one of these for groups, or setgroups.
    """
    if call == "setgroups":
        return has._replace(supplementary=wanted) if has.is_root else None
    of_users = call.endswith("uid")
    old = has.users if of_users else has.groups
    kind = call.replace("gid", "uid")
    if kind == "setuid":
        new = _all_or_effective(wanted[0], old, has)
    elif kind == "setreuid":
        new = _real_and_effective(wanted, old, has)
    else:
        new = _each(wanted, old, has)
    if new is None:
        return None
    return has._replace(users=new) if of_users else has._replace(groups=new)


def _all_or_effective(wanted: int, old: Three, has: Credentials) -> Three | None:
    if has.is_root:
        return (wanted, wanted, wanted)
    return (old[0], wanted, old[2]) if wanted in (old[0], old[2]) else None


def _real_and_effective(wanted: tuple[int, ...], old: Three, has: Credentials) -> Three | None:
    real = old[0] if wanted[0] == UNCHANGED else wanted[0]
    effective = old[1] if wanted[1] == UNCHANGED else wanted[1]
    if not has.is_root and (real not in old[:2] or effective not in old):
        return None
    saves = wanted[0] != UNCHANGED or (wanted[1] != UNCHANGED and effective != old[0])
    return (real, effective, effective if saves else old[2])


def _each(wanted: tuple[int, ...], old: Three, has: Credentials) -> Three | None:
    new = tuple(old[at] if one == UNCHANGED else one for at, one in enumerate(wanted))
    if not has.is_root and not set(new).issubset(old):
        return None
    return (new[0], new[1], new[2])


def may_give_away(wanted: tuple[int, int], owner: tuple[int, int], has: Credentials) -> bool:
    """Say whether a process may change a file's owner; see chown(2)."""
    if has.is_root:
        return True
    user, group = wanted
    own_groups = (has.groups[1], *has.supplementary, owner[1], UNCHANGED)
    return owner[0] == has.users[1] and user in (owner[0], UNCHANGED) and group in own_groups
