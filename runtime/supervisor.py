"""Answers the calls of a sandbox about ids that its user namespace does not have.

Where a user has one id, chown(2) to another fails, and so does setuid(2). A second filter hands
these calls to a process outside of the sandbox, which is this: it keeps the owner that a file is
given in the record beside it (`owners.py`), and lets a process believe in the ids it takes
(`credentials.py`): it is told them again when it asks, and nothing else changes. stat(2) goes on
to say 0:0. What a path means is found out by the kernel: the supervisor goes where the caller is,
into its root and its working directory, and looks from there.
Source: seccomp_unotify(2), seccomp(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import struct

from runtime import credentials, mounts, owners, process, seccomp_numbers, syscalls
from runtime.channel import Channel, Listener
from runtime.seccomp import MACHINES, supervised
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runtime.credentials import Credentials


_NOTICE = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1
_KILL = 9

_WORD = 0xFFFFFFFF
_PATH_MAX = 4096
_MAX_GROUPS = 65536
_PAGE = 4096
_OWN_DESCRIPTOR = re.compile(
    rb"(?:/proc/(?:thread-)?self/fd/|/dev/fd/)([0-9]{1,9})|/dev/(stdin|stdout|stderr)"
)
_STREAMS = (b"stdin", b"stdout", b"stderr")
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_PATH | os.O_CLOEXEC


class Supervisor(NamedTuple):
    """A supervisor, and the socket on which it waits for the listener."""

    pid: int
    socket: Channel

    def end(self) -> None:
        """End it, and wait for that."""
        os.kill(self.pid, _KILL)
        os.waitpid(self.pid, 0)


def start() -> Supervisor:
    """Fork a supervisor for a sandbox that is about to be forked. The caller has one thread."""
    ours, theirs = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _main(theirs)
        finally:
            os._exit(1)
    theirs.close()
    return Supervisor(pid, ours)


def _main(channel: Channel) -> NoReturn:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _KILL)
    # It may be in the pid namespace of a sandbox, whose processes must not look at it.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    process.close_all_but({channel.fileno()})
    received = channel.receive()
    if received is not None and isinstance(received[0], Listener) and received[1]:
        channel.close()
        _Supervision(*received[1]).serve()
    os._exit(0)


class _Notice(NamedTuple):
    """A call that waits for an answer; `task` is the thread, as /proc knows it."""

    id: int
    task: int
    call: str
    args: tuple[int, ...]


class _Supervision:
    """One sandbox, from its first call to the end of its last process."""

    def __init__(self, listener: int, said: int) -> None:
        """`said`: where to write what is lost."""
        self._said = said
        self._listener = listener
        self._root = os.open("/", _DIRECTORY)
        self._proc = _own_proc()
        self._names = _names()
        self._known: dict[tuple[int, str], Credentials] = {}
        self._first = credentials.ROOT

    def serve(self) -> None:
        """Answer until nobody is left who could ask."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            events = poll.poll()[0][1]
            if not events & select.POLLIN:
                return
            buffer = bytearray(_NOTICE.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, buffer)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            self._answer(_NOTICE.unpack(buffer))

    def _answer(self, received: tuple[int, ...]) -> None:
        number, task, _flags, call, arch, _at, *args = received
        value = error = flags = 0
        try:
            name = self._names[arch, call]
            answer = self._act(_Notice(number, task, name, tuple(args)))
            if answer is None:
                flags = _CONTINUE
            else:
                value = answer
        except OSError as failure:
            error = -(failure.errno or errno.EPERM)
        response = bytearray(_RESPONSE.pack(number, value, error, flags))
        try:
            fcntl.ioctl(self._listener, _SEND, response)
        except OSError as failure:
            # The caller was killed meanwhile, or a signal took it out of the call.
            if failure.errno != errno.ENOENT:
                raise

    def _act(self, notice: _Notice) -> int | None:
        """Return what the call returns; None to let the kernel do it. Raises OSError."""
        if "chown" in notice.call:
            return self._chown(notice)
        if not self._known and notice.call.startswith("get") and notice.call != "getgroups":
            return None
        who = self._process(notice.task)
        has = self._known.get(who) or self._inherited(notice.task)
        if notice.call.startswith("get"):
            return self._tell(notice, has)
        wanted = self._wanted(notice)
        now = credentials.changed(notice.call, wanted, has)
        if now is None:
            raise OSError(errno.EPERM, "not permitted")
        if self._known or not now.is_all_root:
            self._known[who] = now
        else:
            # As long as all are root, none needs to be told from the others.
            self._first = now
        if now.users[1] not in (0, has.users[1]) and self._said >= 0:
            self._warn(notice.task, now)
        return 0

    def _warn(self, task: int, now: Credentials) -> None:
        """Say once that a process has become somebody to whom its new files will not belong.

        What the first process makes is attributed when the step is over.
        """
        numbers = self._status(task)["NSpid"].split()
        if numbers[-1] == "1":
            return
        message = (
            f"pybuild: a process became user {now.users[1]}; new files of its will not belong to "
            "that user, as there are no subordinate ids in /etc/subuid\n"
        )
        os.write(self._said, message.encode())
        os.close(self._said)
        self._said = -1

    def _wanted(self, notice: _Notice) -> tuple[int, ...]:
        """Return the ids in the arguments of a call that sets some."""
        if notice.call != "setgroups":
            return tuple(argument & _WORD for argument in notice.args[:3])
        count = notice.args[0] & _WORD
        if count > _MAX_GROUPS:
            raise OSError(errno.EINVAL, "too many groups")
        data = self._read(notice, notice.args[1], 4 * count) if count else b""
        return struct.unpack(f"={count}I", data)

    def _tell(self, notice: _Notice, has: Credentials) -> int:
        """Answer a call that asks for ids."""
        single = credentials.answer(notice.call, has)
        if single is not None:
            return single
        if notice.call == "getgroups":
            size, groups = notice.args[0] & _WORD, has.supplementary
            if not size:
                return len(groups)
            if size < len(groups):
                raise OSError(errno.EINVAL, "too few places")
            self._write(notice, notice.args[1], struct.pack(f"={len(groups)}I", *groups))
            return len(groups)
        three = has.users if notice.call == "getresuid" else has.groups
        for place, one in zip(notice.args, three, strict=False):
            self._write(notice, place, struct.pack("=I", one))
        return 0

    def _chown(self, notice: _Notice) -> int:
        """Change the owner of a file, in its record."""
        call, args = notice.call, notice.args
        if call == "fchown":
            return self._chown_open(notice, args[0], args[1:3])
        at, flags = syscalls.AT_FDCWD, 0
        if call == "fchownat":
            at, args, flags = _signed(args[0]), (args[1], *args[2:4]), args[4] & _WORD
        elif call == "lchown":
            flags = syscalls.AT_SYMLINK_NOFOLLOW
        if flags & ~(syscalls.AT_SYMLINK_NOFOLLOW | syscalls.AT_EMPTY_PATH):
            raise OSError(errno.EINVAL, "unknown flags")
        path = self._path(notice, args[0])
        if not path and flags & syscalls.AT_EMPTY_PATH:
            return self._chown_open(notice, at, args[1:3])
        follow = not flags & syscalls.AT_SYMLINK_NOFOLLOW
        own = _descriptor(path) if follow else None
        if own is not None:
            return self._chown_open(notice, own, args[1:3])
        with_root = self._open(notice, "root", _DIRECTORY)
        here = self._open(notice, _where(at), _FILE)
        self._check(notice)
        try:
            _enter(with_root)
            os.fchdir(here)
            self._give(notice, path, args[1:3], follow=follow)
        finally:
            _enter(self._root)
            os.close(here)
            os.close(with_root)
        return 0

    def _chown_open(self, notice: _Notice, fd: int, wanted: tuple[int, ...]) -> int:
        file = self._open(notice, _where(_signed(fd)), _FILE)
        try:
            self._check(notice)
            self._give(notice, b"/proc/self/fd/%d" % file, wanted, follow=True)
        finally:
            os.close(file)
        return 0

    def _give(self, notice: _Notice, path: bytes, wanted: tuple[int, ...], *, follow: bool) -> None:
        user, group = (argument & _WORD for argument in wanted)
        if self._known:
            has = self._known.get(self._process(notice.task)) or self._inherited(notice.task)
            mode = os.stat(path, follow_symlinks=follow).st_mode
            owner = owners.recorded_at(path, mode, follow_symlinks=follow) or (0, 0)
            if not credentials.may_give_away((user, group), owner, has):
                raise OSError(errno.EPERM, "not permitted")
        uid, gid = (-1 if one == _WORD else one for one in (user, group))
        owners.give_recorded(path, uid, gid, follow_symlinks=follow, explicit=True)

    def _process(self, task: int) -> tuple[int, str]:
        """Return number and start time of a thread's process, which tell it from any other."""
        leader, _parent = self._relations(task)
        return leader, self._proc_file(f"{leader}/stat").rpartition(")")[2].split()[19]

    def _relations(self, task: int) -> tuple[int, int]:
        fields = self._status(task)
        return int(fields["Tgid"]), int(fields["PPid"])

    def _status(self, task: int) -> dict[str, str]:
        lines = self._proc_file(f"{task}/status").splitlines()
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    def _inherited(self, task: int) -> Credentials:
        """Return what a process has from the nearest process above that has taken ids."""
        while True:
            _leader, task = self._relations(task)
            if task == 0:
                return self._first
            known = self._known.get(self._process(task))
            if known is not None:
                return known

    def _proc_file(self, path: str) -> str:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            return os.read(fd, 1 << 14).decode(errors="replace")
        finally:
            os.close(fd)

    def _open(self, notice: _Notice, what: str, flags: int) -> int:
        try:
            return os.open(f"{notice.task}/{what}", flags, dir_fd=self._proc)
        except FileNotFoundError:
            number = errno.EBADF if what.startswith("fd/") else errno.ESRCH
            raise OSError(number, os.strerror(number)) from None

    def _check(self, notice: _Notice) -> None:
        """Make sure that what was opened by the caller's number was the caller's."""
        fcntl.ioctl(self._listener, _IS_VALID, struct.pack("=Q", notice.id))

    def _read(self, notice: _Notice, address: int, size: int) -> bytes:
        memory = os.open(f"{notice.task}/mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            self._check(notice)
            return _exactly(os.pread(memory, size, address), size)
        except (OSError, OverflowError) as error:
            raise OSError(errno.EFAULT, "bad address") from error
        finally:
            os.close(memory)

    def _write(self, notice: _Notice, address: int, data: bytes) -> None:
        memory = os.open(f"{notice.task}/mem", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            self._check(notice)
            os.pwrite(memory, data, address)
        except (OSError, OverflowError) as error:
            raise OSError(errno.EFAULT, "bad address") from error
        finally:
            os.close(memory)

    def _path(self, notice: _Notice, address: int) -> bytes:
        """Return a path from the caller's memory, of which no page too much is read."""
        found = b""
        while len(found) < _PATH_MAX:
            size = _PAGE - (address + len(found)) % _PAGE
            piece = self._read(notice, address + len(found), size)
            head, end, _rest = piece.partition(b"\0")
            found += head
            if end:
                return found
        raise OSError(errno.ENAMETOOLONG, "the path is too long")


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise OSError(errno.EFAULT, "bad address")
    return data


def _enter(root: int) -> None:
    os.fchdir(root)
    os.chroot(".")


def _where(fd: int) -> str:
    return "cwd" if fd == syscalls.AT_FDCWD else f"fd/{fd}"


def _descriptor(path: bytes) -> int | None:
    """Return which of the caller's descriptors a path means; /proc/self would be ours."""
    found = _OWN_DESCRIPTOR.fullmatch(path)
    if found is None:
        return None
    return _STREAMS.index(found[2]) if found[1] is None else int(found[1])


def _signed(word: int) -> int:
    word &= _WORD
    return word - (1 << 32) if word >> 31 else word


def _own_proc() -> int:
    """Return a /proc that knows processes by the numbers that we do."""
    fd = os.open("/proc", _DIRECTORY)
    if os.readlink("self", dir_fd=fd) == str(os.getpid()):
        return fd
    os.close(fd)
    return mounts.file_system("proc", 0, {})


def _names() -> dict[tuple[int, int], str]:
    """Return the calls that come here, by architecture and number."""
    found = {}
    for entry in MACHINES[os.uname().machine]:
        numbers = seccomp_numbers.numbers(entry.table)
        for name, call in supervised(entry).items():
            found[entry.arch, numbers[name]] = call
    return found
