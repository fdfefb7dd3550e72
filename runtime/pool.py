"""Who is on a bridge: addresses, and the locks by which processes share it.

In: a directory. Out: an address nobody else has. `setup` guards making and removing, `users` is
held by everybody who uses the bridge, and each address in use is a locked file; the kernel frees
them all with their holders.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager

from runtime.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_FIRST, _LAST = 2, 254
_PAUSE = 0.01
_PATIENCE = 60.0
"""Seconds to wait for those who come and go, each of whom takes a fraction of one."""


class Pool:
    """The addresses of one bridge."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def lock(self, name: str, how: int) -> int:
        """Lock a file, return its descriptor. Raises BlockingIOError as flock(2) does."""
        path = f"{self.directory}/{name}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
        except BlockingIOError:
            os.close(fd)
            raise
        return fd

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody come or go for the time of a block. Raises TimeoutError after a minute."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        setup = self._setup()
        try:
            yield
        finally:
            # A process forked meanwhile by another thread has this descriptor, too, and may live
            # for as long as a container: closing ours alone would leave the lock with it.
            fcntl.flock(setup, fcntl.LOCK_UN)
            os.close(setup)

    def _setup(self) -> int:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.lock("setup", fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError(
                        errno.ETIMEDOUT,
                        "another process holds this lock for a minute; is it stopped?",
                        f"{self.directory}/setup",
                    ) from None
                time.sleep(_PAUSE)

    def take(self, network: str, wanted: str = "") -> tuple[str, int]:
        """Take a free address of the network with these first three numbers; return its lock.

        `wanted`: that one and no other. Raises OSError, SpecError.
        """
        if wanted:
            return wanted, self._take(network, wanted)
        for last in range(_FIRST, _LAST + 1):
            address = f"{network}.{last}"
            try:
                return address, self.lock(address, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
        raise OSError(errno.EADDRNOTAVAIL, "all addresses are in use", self.directory)

    def _take(self, network: str, wanted: str) -> int:
        first, _, last = wanted.rpartition(".")
        if first != network or not _FIRST <= int(last) <= _LAST:
            raise SpecError(
                f"the address {wanted} is none of the bridge",
                hint=f"these are {network}.{_FIRST} to {network}.{_LAST}",
            )
        try:
            return self.lock(wanted, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpecError(f"the address {wanted} is in use") from None

    def is_held(self, name: str) -> bool:
        """Say whether somebody holds the lock on a file."""
        try:
            os.close(self.lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return True
        return False

    def path(self, address: str) -> str:
        """Return the file of an address, which its holder may write to."""
        return f"{self.directory}/{address}"

    def in_use(self) -> list[str]:
        """Return the addresses that somebody has; to be called while `locked`."""
        names = [name for name in os.listdir(self.directory) if name[0].isdigit()]
        return [name for name in names if self.is_held(name)]
