"""Containers on one bridge know each other by name: each one's /etc/hosts lists the others.

In: the address of a container, its names, its hosts file. Out: hosts files with the others at
their end. There is no daemon to ask, so whoever comes or goes writes the files of all who are
there, under the lock of the bridge. An address belongs to whoever holds the lock on its file
(`pool.py`); the file says the rest.
"""

from __future__ import annotations

import os

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.pool import Pool


_MARK = "# other containers"


class Neighbour(NamedTuple):
    """Who has an address."""

    address: str
    hosts: str
    names: tuple[str, ...]


def announce(pool: Pool, address: str, names: Sequence[str], hosts: str) -> None:
    """Tell everybody on the bridge about a container with the file `hosts`, and it about them."""
    with pool.locked():
        path = pool.path(address)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join((hosts, *names)))
        _refresh(pool)


def leave(pool: Pool, address: str) -> None:
    """Tell everybody that a container goes."""
    with pool.locked():
        os.truncate(pool.path(address), 0)
        _refresh(pool)


def with_neighbours(text: str, own: str, all_of_them: Sequence[Neighbour]) -> str:
    """Return the hosts file `text` with the others at its end, and no longer those of before."""
    head, mark, _rest = text.partition(_MARK)
    others = [f"{one.address}\t{' '.join(one.names)}" for one in all_of_them if one.address != own]
    if not others and not mark:
        return text
    return "\n".join((head.rstrip("\n"), _MARK, *others, ""))


def _refresh(pool: Pool) -> None:
    present = _present(pool)
    for one in present:
        try:
            fd = os.open(one.hosts, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        # In place: what is mounted inside is this very file.
        with open(fd, "r+", encoding="utf-8", errors="surrogateescape") as file:
            text = with_neighbours(file.read(1 << 20), one.address, present)
            file.seek(0)
            file.write(text)
            file.truncate()


def _present(pool: Pool) -> list[Neighbour]:
    found = []
    for address in pool.in_use():
        with open(pool.path(address), encoding="utf-8", errors="surrogateescape") as file:
            hosts, *names = file.read().splitlines() or [""]
        if hosts:
            found.append(Neighbour(address, hosts, tuple(names)))
    return found
