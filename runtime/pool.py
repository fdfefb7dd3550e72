"""Who is on a bridge: addresses, and the locks by which processes share it.

In: a directory. Out: an address nobody else has. `setup` guards making and removing, `users` is
held by everybody who uses the bridge, and each address in use is a locked file; the kernel frees
them all with their holders.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

_FIRST, _LAST = 2, 254


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
        """Let nobody come or go for the time of a block."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        setup = self.lock("setup", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(setup)

    def take(self, network: str) -> tuple[str, int]:
        """Take a free address of the network with these first three numbers; return its lock."""
        for last in range(_FIRST, _LAST + 1):
            address = f"{network}.{last}"
            try:
                return address, self.lock(address, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
        raise OSError(errno.EADDRNOTAVAIL, "all addresses are in use", self.directory)

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
