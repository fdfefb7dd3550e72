"""The network that the containers of an ordinary user share: a bridge in namespaces of its own.

In: a directory of the user's. Out: a user namespace to enter, and places on the bridge in it. A
process, the keeper, holds the namespaces: it is started by the first container and ends after the
last one, which it knows by the lock `users`. Its file `keeper` is locked while it lives and says
the number of a process in its namespaces. The way out is slirp4netns or pasta, for all together.

An interface can be moved only between network namespaces of one user namespace, so containers that
are to reach each other are in the keeper's. What separates them from each other is what separates
those of the machine's root.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import fcntl
import os

from runtime import bridge, child, interpreter, loopback, process, rootless, syscalls, usernet
from runtime.bridge import Attached
from runtime.errors import SandboxError, UnsupportedError, explain
from runtime.netlink import Netlink
from runtime.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


NETWORK = "10.87.0"
_MTU = 1500


def enter_point(directory: str) -> int | None:
    """Return the keeper's user namespace, None where there can be none; start it if need be.

    The caller must not be in a user namespace of its own yet. It counts as a user of the bridge for
    as long as it lives, until `attach` has taken a place there.
    """
    if usernet.missing():
        return None
    pool = Pool(directory)
    with pool.locked():
        # Not closed: a keeper must not end between now and the container's own lock.
        pool.lock("users", fcntl.LOCK_SH)
        if not pool.is_held("keeper") and not _start(pool):
            return None
        return os.open(f"/proc/{_keeper(pool)}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def is_ours(directory: str) -> bool:
    """Say whether the calling process has entered the keeper's user namespace."""
    try:
        there = os.stat(f"/proc/{_keeper(Pool(directory))}/ns/user")
    except (OSError, ValueError):
        return False
    return os.path.samestat(there, os.stat("/proc/self/ns/user"))


def network_namespace(directory: str) -> int:
    """Return the keeper's network namespace. Raises OSError when it is gone."""
    return os.open(f"/proc/{_keeper(Pool(directory))}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def attach(namespace: int, directory: str, wanted: str = "") -> Attached:
    """Connect a namespace by an interface `eth0`; the calling thread is in the keeper's network."""
    pool = Pool(directory)
    with pool.locked():
        locks = [pool.lock("users", fcntl.LOCK_SH)]
        try:
            address, lock = pool.take(NETWORK, wanted)
            locks.append(lock)
            bridge.add_pair(namespace, _MTU)
        except (OSError, SandboxError):
            for fd in locks:
                os.close(fd)
            raise
    return Attached(address, f"{NETWORK}.1", _MTU, tuple(locks), directory)


def _keeper(pool: Pool) -> int:
    with open(pool.path("keeper"), encoding="ascii") as file:
        return int(file.read())


def _start(pool: Pool) -> bool:
    """Start a keeper; return whether it is ready."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_inheritable(writing, True)  # noqa: FBT003 - the only way to say it
    call = "commons.main(int(argv[0]), argv[1])"
    words = interpreter.words(call, str(writing), pool.directory)
    pid = os.posix_spawn(words[0], words, interpreter.environment())
    os.close(writing)
    answer = os.read(reading, 1)
    os.close(reading)
    # The process that was spawned has left the keeper behind.
    os.waitpid(pid, 0)
    return bool(answer)


def main(ready: int, directory: str) -> NoReturn:
    """Be the keeper; `ready` is told when the bridge is there."""
    os.setsid()
    process.close_all_but({ready})
    process.reset_signals()
    if os.fork():
        os._exit(0)
    pool = Pool(directory)
    try:
        lock = pool.lock("keeper", fcntl.LOCK_EX)
        identity = rootless.enter()
        if identity.kind == "single":
            raise UnsupportedError("a common network", identity.reason)
        holder = _hold_network(lock)
        namespace = os.open(f"/proc/{holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        # It must stay outside: its sockets are those of the host.
        helper = usernet.start(namespace)
        os.truncate(lock, 0)
        os.pwrite(lock, str(holder).encode(), 0)
        os.write(ready, b"r")
        os.close(ready)
        # Until nobody uses it any more.
        pool.lock("users", fcntl.LOCK_EX)
        usernet.stop(helper)
        os.kill(holder, child.KILL)
        # Our locks go with us: who comes next must not find a process that is about to end.
        os.waitpid(holder, 0)
    except (OSError, SandboxError) as error:
        text = explain(error) if isinstance(error, OSError) else error.message
        with open(pool.path("failure"), "w", encoding="utf-8") as file:
            file.write(text)
    finally:
        os._exit(0)


def _hold_network(lock: int) -> int:
    """Fork a process that is in the network namespace of the bridge, and stays; return its number.

    It does not keep the keeper's `lock`, which must be free once that is gone. Raises OSError where
    the bridge cannot be made.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, child.KILL)
            os.close(lock)
            os.close(reading)
            syscalls.unshare(syscalls.CLONE_NEWNET)
            _make()
            os.close(writing)
            while True:
                _signal.pause()
        except (OSError, SandboxError) as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(1)
    os.close(writing)
    failure = os.read(reading, 1000).decode(errors="replace")
    os.close(reading)
    if failure:
        os.waitpid(pid, 0)
        raise UnsupportedError("a common network", failure)
    return pid


def _make() -> None:
    """Make the bridge, in a network namespace of our own."""
    loopback.up()
    with Netlink() as netlink:
        netlink.add_bridge(bridge.NAME, _MTU)
        netlink.add_address(bridge.NAME, f"{NETWORK}.1", bridge.PREFIX)
        netlink.set_up(bridge.NAME)
    bridge.masquerade(f"{NETWORK}.0/{bridge.PREFIX}")
