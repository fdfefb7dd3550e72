"""The supervisor's answers, seen from a sandbox of a user with one id: a table of programs."""

import os
import subprocess

import pytest

from tests.kernel import REPOSITORY, as_user, interpreter_for, needs, ordinary_user

DRIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from runtime import idmap, owners, rootless
from runtime.idmap import IdMap, Range
idmap.of_user = lambda u, g: IdMap((Range(0, u, 1),), (Range(0, g, 1),))
rootless.enter()
os.chdir(sys.argv[2])
from runtime import seccomp, supervisor, syscalls
from runtime.channel import Listener
started = supervisor.start()
pid = os.fork()
if pid == 0:
    listener = syscalls.seccomp_listener(seccomp.assemble_supervised(os.uname().machine))
    started.socket.send(Listener(0), [listener, 2])
    os.close(listener)
    started.socket.close()
    exec(sys.argv[3])
    sys.stdout.flush()
    os._exit(0)
started.socket.close()
status = os.waitpid(pid, 0)[1]
started.end()
top = os.open(".", os.O_RDONLY)
for name in sorted(os.listdir(".")):
    found = owners.stat_at(name, top)
    print(name, f"{found.st_uid}:{found.st_gid}", end=" ")
sys.exit(status)
"""
TRY = """
def fails(call, *args, **options):
    try:
        call(*args, **options)
    except OSError as error:
        print(error.errno, end=" ")
    else:
        print("works", end=" ")
"""
FILES = "for name in 'ab': open(name, 'w').close()\nos.symlink('a', 'l'); os.mkdir('d')\n"
CASES = {
    "by path, link and descriptor": (
        (
            "os.chown('l', 1, 2); os.lchown('l', 3, 4); fd = os.open('b', os.O_RDONLY)\n"
            "os.fchown(fd, 5, -1); os.chown('d', -1, 6)"
        ),
        "a 1:2 b 5:0 d 0:6 l 3:4",
    ),
    "relative to a directory": (
        (
            "fd = os.open('d', os.O_RDONLY); os.chown('../a', 1, 1, dir_fd=fd); os.chdir('d')\n"
            "os.chown('../b', 2, 2); os.chown('..', 9, 9)"
        ),
        "a 1:1 b 2:2 d 0:0 l 0:0",
    ),
    "by names of the caller's own descriptors": (
        (
            "fd = os.open('a', os.O_RDONLY); os.chown(f'/proc/self/fd/{fd}', 1, 2)\n"
            "os.dup2(os.open('b', os.O_RDONLY), 0); os.chown('/dev/stdin', 3, 4)"
        ),
        "a 1:2 b 3:4 d 0:0 l 0:0",
    ),
    "in another root": (
        (
            "os.mkdir('d/etc'); os.symlink('/a', 'd/out'); os.chroot('d'); os.chdir('/')\n"
            "fails(os.chown, '/out', 1, 1); fails(os.chown, '/../a', 1, 1)\n"
            "os.chown('/etc/..', 7, 7)"
        ),
        "2 2 a 0:0 b 0:0 d 7:7 l 0:0",
    ),
    "failures": (
        (
            "fails(os.chown, 'none', 1, 1); fails(os.fchown, 99, 1, 1)\n"
            "fails(os.chown, 'a/x', 1, 1)\n"
            "fails(os.chown, 'a', 1, 1, dir_fd=os.open('a', 0)); fails(os.chown, '', 1, 1)"
        ),
        "2 9 20 20 2 a 0:0 b 0:0 d 0:0 l 0:0",
    ),
    "set-id bits go": (
        "os.chmod('a', 0o6755); os.chown('a', 1, 1); print(oct(os.stat('a').st_mode), end=' ')",
        "0o100755 a 1:1 b 0:0 d 0:0 l 0:0",
    ),
    "ids that are taken": (
        (
            "os.setgroups([5, 6]); os.setresgid(5, 5, 5); os.setresuid(7, 7, 0)\n"
            "print(os.getresuid(), os.getgid(), os.getgroups(), end=' ')\n"
            "fails(os.setgroups, [1])\n"
            "fails(os.chown, 'a', 1, 1); os.seteuid(0); os.chown('a', 1, 1)"
        ),
        "(7, 7, 0) 5 [5, 6] 1 1 a 1:1 b 0:0 d 0:0 l 0:0",
    ),
    "ids that a child has from its parent": (
        (
            "os.setresuid(7, 7, 7); pid = os.fork()\n"
            "if pid == 0:\n    os._exit(os.getuid())\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), end=' ')"
        ),
        "7 a 0:0 b 0:0 d 0:0 l 0:0",
    ),
    "a program of several threads": (
        (
            "import threading\n"
            "threads = [threading.Thread(target=os.chown, args=('a', n, n)) for n in (3, 3, 3)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]"
        ),
        "a 3:3 b 0:0 d 0:0 l 0:0",
    ),
}


@needs("rootless")
@pytest.mark.parametrize("case", CASES)
def test_a_sandbox_is_answered(case: str) -> None:
    user = ordinary_user() if os.geteuid() == 0 else None
    python = interpreter_for(user)
    assert python is not None
    program, printed = CASES[case]
    place = subprocess.run(
        ["mktemp", "-d"], check=True, capture_output=True, text=True, **as_user(user)
    ).stdout.strip()  # fmt: skip
    try:
        done = subprocess.run(
            [python, "-B", "-c", DRIVER, REPOSITORY, place, TRY + FILES + program],
            capture_output=True, text=True, check=False, timeout=60, **as_user(user),
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", place], check=True)
    assert (done.stdout.strip(), done.returncode) == (printed, 0), done.stderr
