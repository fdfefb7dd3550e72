"""System calls that Python lacks, one function a call; no policy.

Each raises OSError with the path it was about as `filename`. The only module that imports
ctypes. Numbers: asm/unistd_64.h (x86-64) and asm-generic/unistd.h (arm64, riscv64).
"""

from __future__ import annotations

# ruff: noqa: D402 - the docstrings name manual pages, as in mount(2)
import ctypes
import errno
import os

from runtime.errors import UnsupportedError

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 0x2

OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NOATIME = 0x10
_MOUNT_ATTR_IDMAP = 0x100000

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_GET_ACTION_AVAIL = 2
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
KEYCTL_JOIN_SESSION_KEYRING = 1

# asm-generic/ioctls.h; the module `termios`, which has them, is 0.2 ms more.
TIOCSCTTY = 0x540E
TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414

_CAPABILITY_VERSION_3 = 0x20080522
_GENERIC = {
    "pivot_root": 41,
    "capset": 91,
    "capget": 90,
    "keyctl": 219,
    "seccomp": 277,
    "rt_sigaction": 134,
}
_NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "pivot_root": 155,
        "capset": 126,
        "capget": 125,
        "keyctl": 250,
        "seccomp": 317,
        "rt_sigaction": 13,
    },
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
}
# From 424 on, the number of a call is the same everywhere.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR = 436, 437, 442

_libc = ctypes.CDLL(None, use_errno=True)
# A void pointer takes numbers, bytes and structures alike, and is as wide as a register.
_libc.syscall.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 6
_libc.syscall.restype = ctypes.c_long
_MACHINE = os.uname().machine
_ZEROS = (0, 0, 0, 0, 0, 0)

Path = str | bytes


def _failed(filename: Path | None) -> OSError:
    number = ctypes.get_errno()
    if filename is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(filename))


def _call(number: int, *args: object, path: Path | None = None) -> int:
    """Make a system call with word-sized arguments; one that a signal interrupts is made again."""
    while (result := int(_libc.syscall(number, *args, *_ZEROS[len(args) :]))) == -1:
        if ctypes.get_errno() != errno.EINTR:
            raise _failed(path)
    return result


def _number(name: str) -> int:
    numbers = _NUMBERS.get(_MACHINE)
    if numbers is None:
        raise UnsupportedError("sandboxes", f"the system calls of {_MACHINE} are not known")
    return numbers[name]


def mount(
    source: Path, target: Path, kind: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    """mount(2). Options past one page would be cut silently, so they are refused."""
    data = None if options is None else os.fsencode(options)
    if data is not None and len(data) > 4095:
        raise OSError(7, "mount options longer than a page", os.fsdecode(target))
    if _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        data,
    ):
        raise _failed(target)


def umount(target: Path, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(os.fsencode(target), flags):
        raise _failed(target)


def unshare(flags: int) -> None:
    """unshare(2)."""
    if _libc.unshare(flags):
        raise _failed(None)


def setns(fd: int, kind: int = 0) -> None:
    """setns(2)."""
    if _libc.setns(fd, kind):
        raise _failed(None)


def pivot_root(new: Path, old: Path) -> None:
    """pivot_root(2)."""
    _call(_number("pivot_root"), os.fsencode(new), os.fsencode(old), path=new)


def syncfs(fd: int) -> None:
    """syncfs(2): write out all of the file system that `fd` is on."""
    if _libc.syncfs(fd):
        raise _failed(None)


def sethostname(name: str) -> None:
    """sethostname(2)."""
    data = name.encode()
    if _libc.sethostname(data, ctypes.c_size_t(len(data))):
        raise _failed(name)


def open_tree(fd: int, path: Path, flags: int) -> int:
    """open_tree(2); with OPEN_TREE_CLONE the result is a detached copy of the mount."""
    return _call(_OPEN_TREE, fd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC, path=path)


def move_mount(from_fd: int, to_fd: int, to_path: Path = b"") -> None:
    """move_mount(2): attach the mount `from_fd` at `to_path`, or at `to_fd` itself."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | (0 if to_path else MOVE_MOUNT_T_EMPTY_PATH)
    _call(_MOVE_MOUNT, from_fd, b"", to_fd, os.fsencode(to_path), flags, path=to_path or None)


def fsopen(kind: str) -> int:
    """fsopen(2): a context to configure a new file system with."""
    return _call(_FSOPEN, kind.encode(), 1, path=kind)


def fsconfig(
    fd: int, command: int, key: str | None = None, value: Path | None = None, aux: int = 0
) -> None:
    """fsconfig(2); `aux` is the descriptor of FSCONFIG_SET_FD.

    The kernel explains itself by text in the context, which becomes the error's message.
    """
    key_bytes = None if key is None else key.encode()
    value_bytes = None if value is None else os.fsencode(value)
    try:
        _call(_FSCONFIG, fd, command, key_bytes, value_bytes, aux, path=value or key)
    except OSError as error:
        said = _messages(fd)
        if not said:
            raise
        raise OSError(error.errno, f"{error.strerror} ({said})", error.filename) from None


def _messages(fd: int) -> str:
    lines: list[str] = []
    while len(lines) < 8:
        try:
            lines.append(os.read(fd, 1024).decode(errors="replace").strip())
        except OSError:
            break
    return "; ".join(line[2:] if line[1:2] == " " else line for line in lines)


def fsmount(fd: int, attributes: int = 0) -> int:
    """fsmount(2): a detached mount of the file system that was configured."""
    return _call(_FSMOUNT, fd, 1, attributes)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def mount_setattr(fd: int, set_: int, clear: int = 0, propagation: int = 0, flags: int = 0) -> None:
    """mount_setattr(2) on the mount `fd`; `flags` may hold AT_RECURSIVE."""
    attr = _MountAttr(set_, clear, propagation, 0)
    size = ctypes.sizeof(attr)
    _call(
        _MOUNT_SETATTR,
        fd,
        b"",
        AT_EMPTY_PATH | flags,
        ctypes.byref(attr),
        size,
    )


def map_ids(fd: int, user_namespace: int) -> None:
    """mount_setattr(2) with MOUNT_ATTR_IDMAP on the detached mount `fd` (Linux 5.12)."""
    attr = _MountAttr(_MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    size = ctypes.sizeof(attr)
    _call(_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH, ctypes.byref(attr), size)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def openat2(fd: int, path: Path, flags: int, mode: int, resolve: int) -> int:
    """openat2(2), close-on-exec."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    pointer = ctypes.byref(how)
    return _call(_OPENAT2, fd, os.fsencode(path), pointer, ctypes.sizeof(how), path=path)


def close_range(first: int) -> None:
    """close_range(2) from `first` to the last descriptor there can be."""
    try:
        _call(_CLOSE_RANGE, first, 0xFFFFFFFF, 0)
    except OSError:
        # Before Linux 5.9.
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def prctl(option: int, argument: int = 0, argument3: int = 0) -> int:
    """prctl(2)."""
    words = [ctypes.c_ulong(word) for word in (argument, argument3, 0, 0)]
    result = int(_libc.prctl(option, *words))
    if result == -1:
        raise _failed(None)
    return result


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of the calling thread; masks of capability numbers."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    masks = (effective, permitted, inheritable)
    data = (ctypes.c_uint32 * 6)(
        *(mask & 0xFFFFFFFF for mask in masks), *(mask >> 32 for mask in masks)
    )
    _call(
        _number("capset"),
        header,
        data,
    )


def capget() -> tuple[int, int, int]:
    """capget(2): effective, permitted and inheritable mask of the calling thread."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _call(
        _number("capget"),
        header,
        data,
    )
    return (data[0] | data[3] << 32, data[1] | data[4] << 32, data[2] | data[5] << 32)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seccomp_filter(program: bytes) -> None:
    """Install a BPF program (8 bytes an instruction) with seccomp(2)."""
    value = _Program(len(program) // 8, program)
    pointer = ctypes.byref(value)
    _call(_number("seccomp"), SECCOMP_SET_MODE_FILTER, 0, pointer)


def seccomp_listener(program: bytes) -> int:
    """Install a BPF program; return the descriptor to hear of what it passes on (Linux 5.0)."""
    value = _Program(len(program) // 8, program)
    pointer = ctypes.byref(value)
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER
    return _call(_number("seccomp"), SECCOMP_SET_MODE_FILTER, flags, pointer)


def seccomp_has(action: int) -> bool:
    """Whether seccomp(2) knows an action, which also says whether there is seccomp at all."""
    value = ctypes.c_uint32(action)
    pointer = ctypes.byref(value)
    try:
        _call(_number("seccomp"), SECCOMP_GET_ACTION_AVAIL, 0, pointer)
    except OSError:
        return False
    return True


def join_new_session_keyring() -> None:
    """Leave the caller's session keyring behind; keyctl(2)."""
    _call(_number("keyctl"), KEYCTL_JOIN_SESSION_KEYRING, None)


def reset_signal(number: int) -> None:
    """Give a signal its default action, also one that the C library keeps for itself."""
    action = ctypes.create_string_buffer(64)
    pointer = action
    _call(_number("rt_sigaction"), number, pointer, None, 8)


def unblock_signals() -> None:
    """sigprocmask(2) to an empty set."""
    if _libc.sigprocmask(2, ctypes.create_string_buffer(128), None):
        raise _failed(None)
