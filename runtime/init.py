"""The process that becomes the sandboxed program: performs the plan, then executes.

In: actions, descriptors, and a socket for what there is to say. Out: nothing; it ends as the
program, or with a message on the socket. It is process 1 of a new pid namespace, in which there
is nobody else yet, so nobody can look at the interpreter it still is. All modules are imported
before the pivot; the standard library is out of reach after it.
"""

from __future__ import annotations

import os

from runtime import capabilities, loopback, process, syscalls
from runtime.accounts import Account
from runtime.actions import (
    Action,
    BecomeUser,
    DropBounding,
    EnterDirectory,
    Execute,
    ForbidPrivileges,
    JoinNamespace,
    JoinSandbox,
    LeaveKeyring,
    LimitCapabilities,
    LoadFilter,
    Mask,
    MountRoot,
    OpenTerminal,
    Pivot,
    Place,
    Protect,
    RaiseLoopback,
    SealRoot,
    SetHostname,
    SetLimits,
    SetOomScore,
    Supervise,
    Unshare,
    WriteSysctls,
    describe,
)
from runtime.channel import Channel, Failed, Listener, Ready
from runtime.errors import SandboxError, SetupError, UserError, explain
from runtime.rootfs import CgroupView, NewRoot
from runtime.rootless import make_private
from runtime.typed import assert_never
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, NoReturn


_NAMESPACES = {
    "user": syscalls.CLONE_NEWUSER,
    "mount": syscalls.CLONE_NEWNS,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "network": syscalls.CLONE_NEWNET,
}
_STATUS_FD = 3
_KILL = 9


class Given(NamedTuple):
    """What the process has from its parent, beside the plan.

    `fds` gives the descriptor for each number in the plan; `supervisor` is a socket to the
    supervisor, -1 where there is none.
    """

    stdio: tuple[int, int, int]
    fds: Mapping[int, int]
    view: CgroupView
    supervisor: int = -1


def main(
    actions: tuple[Action, ...], given: Given, status: Channel, *, dies_with_parent: bool
) -> NoReturn:
    """Perform `actions`. Never returns; `status` tells the parent how far it came.

    With `dies_with_parent` the kernel kills the program when the parent dies; the zygote takes
    its whole pid namespace with it anyway.
    """
    action: Action | None = None
    try:
        if dies_with_parent:
            process.reset_signals()
        process.clean(*given.stdio)
        making = _Making(given, status, dies_with_parent=dies_with_parent)
        for action in actions:
            making.perform(action)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to say it
        status.send(_failure(action, error))
    finally:
        os._exit(125)


class _Making:
    """The sandbox as far as it has come."""

    def __init__(self, given: Given, status: Channel, *, dies_with_parent: bool) -> None:
        self._dies_with_parent = dies_with_parent
        self._given = given
        self._status = status
        self._root: NewRoot | None = None
        self._account = Account(0, 0, (0,), "/")
        self._terminal: tuple[int, int] | None = None

    def perform(self, action: Action) -> None:
        """Carry one action out. Raises OSError or SandboxError."""
        match action:
            case MountRoot() | Place() | WriteSysctls() | Mask() | Protect() | SealRoot() | Pivot():
                self._perform_on_root(action)
            case Unshare() | JoinNamespace() | JoinSandbox() | RaiseLoopback() | SetHostname():
                self._isolate(action)
            case Supervise(program):
                _supervise(program, self._given.supervisor)
            case SetOomScore(score):
                process.set_oom_score(score)
            case LeaveKeyring() | SetLimits() | DropBounding() | ForbidPrivileges() | LoadFilter():
                _restrict(action)
            case OpenTerminal(rows, columns, console):
                self._terminal = process.open_terminal(rows, columns, console=console)
            case EnterDirectory(path, makes):
                enter = process.enter_directory_made if makes else process.enter_directory
                enter(path)
            case BecomeUser() | LimitCapabilities():
                self._become(action)
            case Execute():
                self._execute(action)
            case _:
                assert_never(action)

    def _become(self, action: BecomeUser | LimitCapabilities) -> None:
        match action:
            case BecomeUser(user, groups):
                self._account = process.find_account(user, groups)
                if self._terminal is not None:
                    os.fchown(self._terminal[1], self._account.uid, -1)
                process.become(self._account)
            case LimitCapabilities(keep):
                # Whatever securebits the caller has: only root keeps any.
                capabilities.limit(0 if self._account.uid else keep)

    def _isolate(
        self, action: Unshare | JoinNamespace | JoinSandbox | RaiseLoopback | SetHostname
    ) -> None:
        match action:
            case Unshare(namespaces):
                syscalls.unshare(_flags(namespaces))
                if "mount" in namespaces:
                    make_private()
            case JoinSandbox(fd, namespaces):
                syscalls.setns(self._given.fds[fd], _flags(namespaces))
                if "user" in namespaces:
                    # A terminal that is made now must have an owner there.
                    os.setgroups([])
                    os.setresgid(0, 0, 0)
                    os.setresuid(0, 0, 0)
            case JoinNamespace(namespace, fd):
                syscalls.setns(self._given.fds[fd], _NAMESPACES[namespace])
            case RaiseLoopback():
                loopback.up()
            case SetHostname(name):
                syscalls.sethostname(name)

    def _perform_on_root(
        self, action: MountRoot | Place | WriteSysctls | Mask | Protect | SealRoot | Pivot
    ) -> None:
        if isinstance(action, MountRoot):
            self._root = NewRoot(
                action.root, self._given.fds, self._given.view, with_devices=action.devices
            )
            return
        root = self._root
        if root is None:
            raise SetupError(describe(action), "there is no root yet")
        match action:
            case Place(mount, trusted):
                root.place(mount, trusted=trusted)
            case WriteSysctls(settings):
                root.write_sysctls(settings)
            case Mask(paths):
                root.mask(paths)
            case Protect(paths):
                root.protect(paths)
            case SealRoot():
                root.seal()
            case Pivot():
                root.pivot()

    def _execute(self, action: Execute) -> None:
        """Hand out what has to outlive us, close the rest, and become the program."""
        if self._dies_with_parent:
            # Any change of user would have cleared it. Whether the parent died before this, the
            # status channel tells.
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _KILL)
        stubs = self._root.stubs if self._root is not None else None
        parents = stubs.parents if stubs is not None else []
        made = tuple(stubs.made) if stubs is not None else ()
        terminal = [] if self._terminal is None else [self._terminal[0]]
        if not self._status.send(Ready(made, terminal=bool(terminal)), [*parents, *terminal]):
            os._exit(125)
        if self._status.fileno() != _STATUS_FD:
            os.dup2(self._status.fileno(), _STATUS_FD, inheritable=False)
            self._status = Channel.of(_STATUS_FD)
        syscalls.close_range(_STATUS_FD + 1)
        os.umask(action.umask)
        failed = process.execute(action.args, action.env, self._account.home)
        self._status.send(failed)
        os._exit(failed.code)


def _flags(namespaces: tuple[str, ...]) -> int:
    flags = 0
    for name in namespaces:
        flags |= _NAMESPACES[name]
    return flags


def _restrict(
    action: LeaveKeyring | SetLimits | DropBounding | ForbidPrivileges | LoadFilter,
) -> None:
    match action:
        case LeaveKeyring():
            process.leave_keyring()
        case SetLimits(rlimits):
            process.set_limits(rlimits)
        case DropBounding(keep):
            capabilities.drop_bounding(keep)
        case ForbidPrivileges():
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        case LoadFilter(program):
            syscalls.seccomp_filter(program)


def _supervise(program: bytes, socket: int) -> None:
    """Pass calls on to the supervisor from now on, or say what is lost without it."""
    supervisor = Channel.of(socket)
    try:
        listener = syscalls.seccomp_listener(program)
    except OSError as error:
        reason = (error.strerror or "").lower()
        message = (
            f"pybuild: owners cannot be recorded here ({reason}): chown fails, and files belong "
            "to root, as there are no subordinate ids for this user\n"
        )
        os.write(2, message.encode())
        supervisor.send(Listener(error.errno or 0))
    else:
        supervisor.send(Listener(0), [listener, 2])
        os.close(listener)
    supervisor.close()


def _failure(action: Action | None, error: Exception) -> Failed:
    text = "prepare the process" if action is None else describe(action)
    if isinstance(error, OSError):
        return Failed("setup", text, error.errno or 0, explain(error), "")
    if isinstance(error, SetupError):
        kind: Literal["setup", "user"] = "user" if isinstance(error, UserError) else "setup"
        return Failed(kind, error.action, 0, explain(error.cause), error.hint)
    if isinstance(error, SandboxError):
        return Failed("setup", text, 0, error.message, error.hint)
    return Failed("setup", text, 0, f"{type(error).__name__}: {error}", "")
