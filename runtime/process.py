"""What turns a forked interpreter into a clean process, and then into the program.

In: parts of a plan. Out: the state of the calling process. Works inside the sandbox's root,
after the pivot, but for `clean`. Nothing of the caller leaks in: signals, groups, limits,
descriptors, terminal, nice value. Source: docs/security.md, S7, S8; execve(2), the PATH rules of
exec(3) and the exit codes of the shells.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import errno
import fcntl
import os
import resource
import stat
import struct

from runtime import accounts, devices, safepath, syscalls
from runtime.channel import Unstarted
from runtime.errors import SpecError, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.accounts import Account
    from runtime.spec import Rlimit

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNLOCK_TERMINAL = 0x40045431
_OPEN_PEER = 0x5441
_UNCHANGEABLE = (9, 19)
"""SIGKILL and SIGSTOP."""
_ENDING = (1, 2, 3, 15)
"""SIGHUP, SIGINT, SIGQUIT, SIGTERM: what commands pass on, and monitors handle."""
_MULTIPLEXER = os.makedev(5, 2)


def fork() -> int:
    """Fork a process that becomes a program: what would end that ends it from the beginning.

    A handler of ours in it would take in what its program is to get, and act with our state.
    Source: fork(2), pthread_sigmask(3).
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _ENDING)
    try:
        pid = os.fork()
        if pid == 0:
            for number in _ENDING:
                syscalls.reset_signal(number)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    return pid


def clean(stdin: int, stdout: int, stderr: int) -> None:
    """Take standard descriptors, and drop what a process inherits without being asked.

    Signals are as `reset_signals` has left them in the zygote.
    """
    os.setsid()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (stdin, stdout, stderr)]
    for number, fd in enumerate(high):
        os.dup2(fd, number)
        os.close(fd)
    os.umask(0o022)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except OSError:
        # A raised nice value stays, where we may not lower it.
        pass


def reset_signals() -> None:
    """Unblock all signals and give them their default action, as a shell's child has them."""
    for number in range(1, 65):
        if number not in _UNCHANGEABLE:
            syscalls.reset_signal(number)
    syscalls.unblock_signals()


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor but `kept`; the standard ones lead nowhere afterwards."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                # The descriptor of the directory itself.
                continue


def set_limits(rlimits: tuple[Rlimit, ...]) -> None:
    """Set each limit, clamped to the hard limit where the caller may not raise it."""
    for rlimit in rlimits:
        kind = getattr(resource, f"RLIMIT_{rlimit.name.upper()}")
        try:
            resource.setrlimit(kind, (rlimit.soft, rlimit.hard))
        except (ValueError, OSError):
            ceiling = resource.getrlimit(kind)[1]
            hard = _lower(rlimit.hard, ceiling)
            resource.setrlimit(kind, (_lower(rlimit.soft, hard), hard))


def set_oom_score(score: int) -> None:
    """Write the adjustment of the OOM score, see proc(5). Raises OSError."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(score).encode())
    except PermissionError:
        raise SpecError("to lower it takes CAP_SYS_RESOURCE of the machine") from None
    finally:
        os.close(fd)


def _lower(wanted: int, ceiling: int) -> int:
    """Return the lower of two limits, of which -1 is the highest."""
    if ceiling == resource.RLIM_INFINITY:
        return wanted
    return ceiling if wanted == resource.RLIM_INFINITY else min(wanted, ceiling)


def open_terminal(rows: int, columns: int, *, console: bool) -> tuple[int, int]:
    """Return both ends, outer first, of a new terminal inside; it becomes ours.

    With `console` it is shown as /dev/console, too. The inner end is taken from the outer one and
    never by a path.
    """
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    outer = safepath.open_beneath(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    os.close(root)
    status = os.fstat(outer)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _MULTIPLEXER:
        raise OSError(errno.ENODEV, "not a terminal multiplexer", "/dev/pts/ptmx")
    fcntl.ioctl(outer, _UNLOCK_TERMINAL, struct.pack("i", 0))
    inner = fcntl.ioctl(outer, _OPEN_PEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(inner, syscalls.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    if console:
        devices.bind_console(inner)
    fcntl.ioctl(inner, syscalls.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(inner, number)
    return outer, inner


def enter_directory(path: str) -> None:
    """Go to `path`, and make sure that it lies inside."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    fd = safepath.open_beneath(root, path, os.O_PATH | os.O_DIRECTORY)
    os.close(root)
    os.fchdir(fd)
    os.close(fd)
    # Python's getcwd() raises where the kernel says `(unreachable)`.
    if not os.getcwd().startswith("/"):
        raise OSError(errno.EXDEV, "it is outside of the root", path)


def enter_directory_made(path: str) -> None:
    """Make `path` if it is missing, and go there."""
    try:
        enter_directory(path)
    except FileNotFoundError:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        make_directories(root, safepath.resolve(root, path))
        os.close(root)
        enter_directory(path)


def make_directories(root: int, path: str) -> None:
    """Make the directories of a canonical path, 0755 and owned by root."""
    parent = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    for name in filter(None, path.split("/")):
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            pass
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        child = os.open(name, flags, dir_fd=parent)
        os.close(parent)
        parent = child
    os.close(parent)


def find_account(user: str, groups: tuple[str, ...]) -> Account:
    """Look the user up in the files of the root."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return accounts.lookup(root, user, groups)
    finally:
        os.close(root)


def become(account: Account) -> None:
    """Take the ids of an account, all of them."""
    try:
        os.setgroups(account.groups)
    except PermissionError:
        # A user namespace of a single id forbids it; there are no other groups to have.
        if set(account.groups) - {0}:
            raise _unmapped(account) from None
    except OSError as error:
        raise (_unmapped(account) if error.errno == errno.EINVAL else error) from None
    try:
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    except OSError as error:
        raise (_unmapped(account) if error.errno == errno.EINVAL else error) from None


def _unmapped(account: Account) -> UserError:
    return UserError(
        f"become user {account.uid} with groups {' '.join(map(str, account.groups))}",
        "the ids are not mapped into the user namespace",
        hint="give the caller more subordinate ids in /etc/subuid and /etc/subgid",
    )


def execute(args: tuple[str, ...], env: tuple[tuple[str, str], ...], home: str) -> Unstarted:
    """Become the program, searched in the PATH of `env`.

    Returns only where that was not possible, with 127 if the program was not found and 126 if
    it cannot be executed.
    """
    variables = dict(env)
    variables.setdefault("HOME", home)
    program = args[0]
    if "/" in program:
        candidates = [program]
    else:
        search = variables.get("PATH", DEFAULT_PATH)
        candidates = [f"{directory or '.'}/{program}" for directory in search.split(":")]
    worst: OSError | None = None
    for candidate in candidates:
        try:
            os.execve(candidate, args, variables)
        except OSError as error:
            error.filename = candidate
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or _exists(candidate):
                worst = worst or error
    if worst is None:
        where = "" if "/" in program else " in the PATH"
        return Unstarted(127, f"{program}: not found{where}")
    return _why(worst)


def _exists(path: str) -> bool:
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False


def _why(error: OSError) -> Unstarted:
    path = str(error.filename)
    if error.errno == errno.ENOENT:
        return Unstarted(127, f"{path}: {_interpreter(path)} is not in the image")
    reason = (error.strerror or "").lower()
    if error.errno == errno.ENOEXEC:
        reason = "not a program of this architecture, nor a script with a #! line"
    elif error.errno == errno.EACCES and stat.S_ISDIR(os.stat(path).st_mode):
        reason = "is a directory"
    elif error.errno == errno.E2BIG:
        reason = "arguments and environment are too long"
    return Unstarted(126, f"{path}: {reason}")


def _interpreter(path: str) -> str:
    """Return how to speak of the interpreter that a script names, or a program has."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        first = b""
    # The kernel knows spaces and tabs; all else is part of the name (fs/binfmt_script.c).
    words = first[2:].strip(b" \t\n").replace(b"\t", b" ").split(b" ")
    if not first.startswith(b"#!") or not words[0]:
        return "its interpreter"
    name = words[0].decode(errors="backslashreplace")
    ends = " (its lines end as on Windows)" if name.endswith("\r") else ""
    return f"its interpreter {name if name.isprintable() else repr(name)}{ends}"


def leave_keyring() -> None:
    """Take a new, empty session keyring where the kernel has keyrings to give."""
    try:
        syscalls.join_new_session_keyring()
    except OSError:
        # No keyrings in this kernel, or the user's quota is used up: the filter still keeps
        # the program from keyctl.
        return
