"""Leases: what a running command uses, so that collection leaves it alone.

A lease is a file below `leases/`, locked by its command from the first moment to the last; the
kernel lets go of the lock however the command ends. Its lines name what is in use
(`layer sha256:…`). A mark is made under a shared lock of `gc.lock` and *before* the thing is
looked up; collection takes that lock alone from reading the leases to taking things away. So
either the lookup misses, or the thing stays. Everything half-made lies below `tmp/<lease>` and
goes with the lease. Guarantees R4, R5.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from _thread import RLock  # `threading` itself is 1 ms for classes

from buildkit.state.removal import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Lease:
    """The lease of this process on one state root; any thread may use it."""

    def __init__(self, top: str, name: str, fd: int, gate: int) -> None:
        self.name = name
        self._top = top
        self._fd = fd
        self._gate = gate
        self._marks: set[tuple[str, str]] = set()
        self._directories = 0
        self._mutex = RLock()
        self._alone = False

    @classmethod
    def acquire(cls, top: str) -> Lease:
        """Take a new lease on the state root at `top`."""
        gate = os.open(f"{top}/locks/gc.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            while True:
                name = f"{os.getpid()}-{os.urandom(8).hex()}"
                fd = os.open(f"{top}/leases/{name}", flags, 0o600)
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_nlink:
                    return cls(top, name, fd, gate)
                # A collector took the file for a dead one between the two calls above.
                os.close(fd)
        except BaseException:
            os.close(gate)
            raise

    def use(self, kind: str, names: Iterable[str]) -> None:
        """Mark things as in use until `release`. To be called before they are looked up."""
        with self._mutex:
            new = {(kind, name) for name in names} - self._marks
            if not new:
                return
            lines = "".join(f"{kind} {name}\n" for kind, name in sorted(new))
            with contextlib.nullcontext() if self._alone else self._gate_held(fcntl.LOCK_SH):
                if os.write(self._fd, lines.encode()) < len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._marks |= new

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Let nobody else mark anything for the time of the block; other threads wait too."""
        with self._mutex, self._gate_held(fcntl.LOCK_EX):
            self._alone = True
            try:
                yield
            finally:
                self._alone = False

    @contextlib.contextmanager
    def _gate_held(self, how: int) -> Iterator[None]:
        fcntl.flock(self._gate, how)
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def directory(self) -> str:
        """Make a new private directory that goes with the lease at the latest."""
        base = _temporary(self._top, self.name)
        with self._mutex:
            if not self._directories:
                os.mkdir(base, 0o700)
            self._directories += 1
            path = f"{base}/{self._directories}"
        os.mkdir(path, 0o700)
        return path

    def release(self) -> None:
        """Give everything up. May be called twice."""
        with self._mutex:
            if self._fd < 0:
                return
            try:
                if self._directories:
                    remove_tree(_temporary(self._top, self.name))
                os.unlink(f"{self._top}/leases/{self.name}")
            finally:
                os.close(self._fd)
                os.close(self._gate)
                self._fd = self._gate = -1


def stale(top: str) -> list[str]:
    """Return the names of what dead commands left in `leases/` and `tmp/`."""
    found = []
    for name in sorted(set(os.listdir(_temporary(top))) | set(os.listdir(f"{top}/leases"))):
        with _unless_held(f"{top}/leases/{name}") as dead:
            if dead:
                found.append(name)
    return found


def collect_stale(top: str) -> int:
    """Remove what dead commands left; return how many there were.

    A command makes its lease before its directory and removes the directory first, so a
    directory without a lease is nobody's.
    """
    names = stale(top)
    for name in names:
        with _unless_held(f"{top}/leases/{name}") as dead:
            # What cannot be removed now (a file made immutable) must not stop every command.
            if dead:
                with contextlib.suppress(OSError):
                    remove_tree(_temporary(top, name))
                    os.unlink(f"{top}/leases/{name}")
    return len(names)


def in_use(top: str) -> set[tuple[str, str]]:
    """Return (kind, name) of all that commands and containers have marked; while `collecting`.

    A container has its marks in a file of its own, `uses`, written while its maker's lease holds.
    """
    marks: set[tuple[str, str]] = set()
    files = [f"{top}/leases/{name}" for name in os.listdir(f"{top}/leases")]
    files += [f"{top}/containers/{name}/uses" for name in os.listdir(f"{top}/containers")]
    for path in files:
        try:
            with open(path, encoding="utf-8") as lines:
                for line in lines:
                    kind, _, thing = line.rstrip("\n").partition(" ")
                    marks.add((kind, thing))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return marks


def _temporary(top: str, *name: str) -> str:
    return "/".join((top, "tmp", *name))


@contextlib.contextmanager
def _unless_held(path: str) -> Iterator[bool]:
    """Say whether the lease at `path` is nobody's; if so it is held for the time of the block."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)
