"""Puts the calling process into namespaces of its own, before it starts threads.

In: the process as the user started it. Out: the same process as root of its mount namespace,
as the machine's root or as root of a user namespace; nothing it mounts is seen outside, and a
crash leaves no mount behind. No re-exec: a helper forked before the unshare writes the maps.
Source: user_namespaces(7), mount_namespaces(7); docs/security.md, S1.
"""

from __future__ import annotations

import errno
import os

from runtime import idmap, syscalls
from runtime.errors import UnsupportedError
from runtime.idmap import IdMap
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


_SYS_ADMIN = 1 << 21


class Identity(NamedTuple):
    """As whom the process goes on.

    `root`: the machine's root, or root of a user namespace it was already in. `subordinate`:
    root of a new user namespace with many ids. `single`: likewise with one id only, so that
    owners are recorded (`owners.py`); `reason` says why. `uid` and `gid` are those outside.
    """

    kind: Literal["root", "subordinate", "single"]
    uid: int
    gid: int
    ids: IdMap | None = None
    reason: str = ""


def is_needed() -> bool:
    """Say whether a user namespace is needed to make a mount namespace."""
    return not syscalls.capget()[0] & _SYS_ADMIN


def join(user_namespace: int) -> None:
    """Enter a user namespace of ours that is there already, and a new mount namespace in it."""
    syscalls.setns(user_namespace, syscalls.CLONE_NEWUSER)
    _become_root()
    syscalls.unshare(syscalls.CLONE_NEWNS)
    make_private()


def enter() -> Identity:
    """Enter a mount namespace, and a user namespace where that is needed for it.

    The caller must be single-threaded. Raises UnsupportedError where user namespaces are not
    to be had.
    """
    uid, gid = os.geteuid(), os.getegid()
    if not is_needed():
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
        except OSError as error:
            raise _unsupported(error) from error
        make_private()
        return Identity("root", uid, gid)
    ids = idmap.of_user(uid, gid)
    identity = _enter_user_namespace(uid, gid, ids)
    make_private()
    return identity


def make_private() -> None:
    """Cut the propagation of mounts and unmounts, both ways."""
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def _enter_user_namespace(uid: int, gid: int, ids: IdMap) -> Identity:
    if ids.is_single:
        reason = "there are no subordinate ids for this user in /etc/subuid and /etc/subgid"
        return _enter_single(uid, gid, ids, reason)
    missing = [name for name in ("newuidmap", "newgidmap") if idmap.program(name) is None]
    if missing:
        return _enter_single(uid, gid, ids, f"{' and '.join(missing)} is not installed")
    helper = _MapHelper(ids)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    except OSError as error:
        helper.cancel()
        raise _unsupported(error) from error
    failure = helper.write()
    if failure:
        try:
            idmap.write_single_maps(ids)
        except OSError:
            # One write is all that a map allows, and one of the two has been written.
            raise UnsupportedError("user namespaces", failure) from None
        return Identity("single", uid, gid, _first_only(ids), failure)
    _become_root()
    return Identity("subordinate", uid, gid, ids)


def _enter_single(uid: int, gid: int, ids: IdMap, reason: str) -> Identity:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        idmap.write_single_maps(ids)
    except OSError as error:
        raise _unsupported(error) from error
    return Identity("single", uid, gid, _first_only(ids), reason)


def _first_only(ids: IdMap) -> IdMap:
    return IdMap(users=ids.users[:1], groups=ids.groups[:1])


def _become_root() -> None:
    """Take all three ids of root; the kernel has mapped only what we were."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _unsupported(error: OSError) -> UnsupportedError:
    hints = {
        errno.EPERM: "an administrator may have switched them off: look at the sysctls "
        "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, and at "
        "the seccomp profile if this is a container",
        errno.ENOSPC: "raise the sysctl user.max_user_namespaces",
        errno.EUSERS: "user namespaces are nested too deep here",
        errno.EINVAL: "the kernel has no user namespaces, or the process has threads already",
    }
    return UnsupportedError(
        "user namespaces",
        (error.strerror or str(error)).lower(),
        hint=hints.get(error.errno or 0, "run as root, or let pybuild doctor explain"),
    )


class _MapHelper:
    """A child from before the unshare, which may write maps of more than one id."""

    def __init__(self, ids: IdMap) -> None:
        parent = os.getpid()
        go_read, self._go = os.pipe2(os.O_CLOEXEC)
        self._answer, answer_write = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._go)
            failure, status = "interrupted", errno.EINTR
            try:
                if os.read(go_read, 1):
                    failure = idmap.write_maps(parent, ids)
                os.write(answer_write, failure.encode())
                status = 0
            except OSError as error:
                status = error.errno or errno.EIO
            finally:
                os._exit(status)
        os.close(go_read)
        os.close(answer_write)

    def write(self) -> str:
        """Let the maps be written; return what went wrong.

        Raises OSError where they could not be tried: at a limit of processes, say.
        """
        os.write(self._go, b"g")
        answer = b"".join(iter(lambda: os.read(self._answer, 4096), b""))
        status = self.cancel()
        if status:
            # No exit status of a program: the helper's own, an error number or a signal.
            number = status if status > 0 else errno.EINTR
            raise OSError(number, os.strerror(number))
        return answer.decode()

    def cancel(self) -> int:
        """End the helper; return its exit code, less than 0 for a signal."""
        os.close(self._go)
        os.close(self._answer)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
