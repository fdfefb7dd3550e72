"""Which ids a user may hand out, and writing them into a user namespace.

In: /etc/subuid and /etc/subgid, as text. Out: `IdMap` values, and maps written by
newuidmap(1) and newgidmap(1), the set-id programs that are allowed to.
Source: user_namespaces(7), subuid(5).
"""

from __future__ import annotations

import os

from runtime.values import NamedTuple

_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")


class Range(NamedTuple):
    """`length` ids from `inside` on are those from `outside` on."""

    inside: int
    outside: int
    length: int


class IdMap(NamedTuple):
    """The ids of a user namespace."""

    users: tuple[Range, ...]
    groups: tuple[Range, ...]

    @property
    def is_identity(self) -> bool:
        """Whether each id means the same inside and outside."""
        return all(one.inside == one.outside for one in (*self.users, *self.groups))

    @property
    def root(self) -> tuple[int, int]:
        """The outer ids of user and group 0. Raises LookupError where there are none."""
        return outward(self.users, 0), outward(self.groups, 0)

    @property
    def is_single(self) -> bool:
        """Whether there is but one user or one group."""
        return len(self.users) < 2 or len(self.groups) < 2


def outward(ranges: tuple[Range, ...], number: int) -> int:
    """Return the outer id of an inner one. Raises LookupError where there is none."""
    for one in ranges:
        if 0 <= number - one.inside < one.length:
            return number - one.inside + one.outside
    raise LookupError(f"{number} is not mapped")


def inward(ranges: tuple[Range, ...], number: int) -> int:
    """Return the inner id of an outer one. Raises LookupError where there is none."""
    for one in ranges:
        if 0 <= number - one.outside < one.length:
            return number - one.outside + one.inside
    raise LookupError(f"{number} is not mapped")


def subordinate(text: str, name: str, number: int) -> tuple[tuple[int, int], ...]:
    """Return the (first, length) pairs that a subuid or subgid file gives to a user."""
    found: list[tuple[int, int]] = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in (name, str(number)):
            continue
        if fields[1].isdecimal() and fields[2].isdecimal() and int(fields[2]) > 0:
            found.append((int(fields[1]), int(fields[2])))
    return tuple(found)


def ranges(own: int, extra: tuple[tuple[int, int], ...]) -> tuple[Range, ...]:
    """Map `own` to 0 and what is subordinate from 1 on."""
    result = [Range(0, own, 1)]
    following = 1
    for first, length in extra:
        result.append(Range(following, first, length))
        following += length
    return tuple(result)


def of_user(uid: int, gid: int) -> IdMap:
    """Return the map a user can have by the machine's subuid and subgid files."""
    name = _name(uid)
    return IdMap(
        users=ranges(uid, subordinate(_read("/etc/subuid"), name, uid)),
        groups=ranges(gid, subordinate(_read("/etc/subgid"), name, uid)),
    )


def program(name: str) -> str | None:
    """Return where newuidmap or newgidmap is."""
    for directory in _DIRECTORIES:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def write_maps(pid: int, idmap: IdMap) -> str:
    """Write the maps of process `pid` by the set-id programs, both at once.

    Returns what went wrong, or nothing.
    """
    said = os.memfd_create("said", os.MFD_CLOEXEC)
    output = [(os.POSIX_SPAWN_DUP2, said, number) for number in (1, 2)]
    children: list[int] = []
    for name, mapped in (("newuidmap", idmap.users), ("newgidmap", idmap.groups)):
        path = program(name)
        if path is None:
            return f"{name} is not installed"
        arguments = [name, str(pid), *(str(number) for part in mapped for number in part)]
        children.append(os.posix_spawn(path, arguments, {}, file_actions=output))
    failed = [os.waitpid(child, 0)[1] for child in children]
    message = os.pread(said, 1000, 0).decode(errors="replace").strip().replace("\n", "; ")
    os.close(said)
    return (message or "newuidmap or newgidmap failed") if any(failed) else ""


def write_single_maps(idmap: IdMap) -> None:
    """Map the own user and group alone, from inside the new user namespace."""
    for path, text in (
        ("/proc/self/setgroups", "deny"),
        ("/proc/self/uid_map", "{} {} {}".format(*idmap.users[0])),
        ("/proc/self/gid_map", "{} {} {}".format(*idmap.groups[0])),
    ):
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _name(uid: int) -> str:
    """Return the login name; pwd would need no more, but costs the name services."""
    for line in _read("/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return fields[0]
    import pwd  # only for users that are not in the file (LDAP and such)

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
