"""What the zygote takes for granted about namespaces and processes."""

import subprocess
import sys

import pytest

from tests.kernel import REPOSITORY, as_user, interpreter_for, needs, needs_root, ordinary_user


def run(program: str, *, ordinary: bool = False) -> list[str]:
    """Run a program in a process of its own; return what it printed."""
    user = ordinary_user() if ordinary else None
    python = interpreter_for(user) if ordinary else sys.executable
    text = "import os, signal, sys, threading\n"
    text += f"sys.path.insert(0, {str(REPOSITORY)!r})\nfrom runtime import syscalls\n{program}"
    done = subprocess.run(
        [python, "-B", "-c", text],
        capture_output=True,
        text=True,
        check=False,
        **as_user(user),  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout).split()


@needs_root
def test_a_process_comes_back_to_its_pid_namespace_and_can_make_another() -> None:
    program = """
own = os.open("/proc/self/ns/pid", os.O_RDONLY)
for _ in range(2):
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        os._exit(os.getpid())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    syscalls.setns(own, syscalls.CLONE_NEWPID)
"""
    assert run(program) == ["1", "1"]


@needs_root
def test_a_second_pid_namespace_without_coming_back_is_refused() -> None:
    program = """
syscalls.unshare(syscalls.CLONE_NEWPID)
try: syscalls.unshare(syscalls.CLONE_NEWPID)
except OSError as error: print(error.errno)
"""
    assert run(program) == ["22"]


@needs_root
def test_the_end_of_process_1_is_reported_when_all_others_are_gone() -> None:
    program = """
read, write = os.pipe()
syscalls.unshare(syscalls.CLONE_NEWPID)
pid = os.fork()
if pid == 0:
    for _ in range(20):
        if os.fork() == 0:
            signal.pause()
    os._exit(0)
os.close(write)
os.waitpid(pid, 0)
os.set_blocking(read, False)
print(len(os.read(read, 1)))
"""
    assert run(program) == ["0"]


@needs("rootless")
def test_a_user_namespace_needs_a_single_thread() -> None:
    program = """
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
try: syscalls.unshare(syscalls.CLONE_NEWUSER)
except OSError as error: print(error.errno)
stop.set()
"""
    assert run(program, ordinary=True) == ["22"]


@needs("rootless")
def test_the_first_pid_namespace_is_closed_to_a_user_namespace() -> None:
    program = """
from runtime import rootless
own = os.open("/proc/self/ns/pid", os.O_RDONLY)
rootless.enter()
syscalls.unshare(syscalls.CLONE_NEWPID)
try: syscalls.setns(own, syscalls.CLONE_NEWPID)
except OSError as error: print(error.errno)
"""
    assert run(program, ordinary=True) == ["1"]


@needs_root
def test_a_change_of_user_forgets_the_parent_death_signal() -> None:
    program = """
import ctypes
syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
os.setresuid(1000, 1000, 1000)
number = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(number))
print(number.value)
"""
    assert run(program) == ["0"]


@pytest.mark.parametrize("number", [1, 2, 15])
@needs_root
def test_process_1_ignores_signals_it_does_not_handle(number: int) -> None:
    program = f"""
read, write = os.pipe()
syscalls.unshare(syscalls.CLONE_NEWPID)
pid = os.fork()
if pid == 0:
    signal.signal({number}, signal.SIG_DFL)
    os.write(write, b"r")
    os.read(os.pipe()[0], 1)
os.read(read, 1)
os.kill(pid, {number})
print(os.waitpid(pid, os.WNOHANG)[0])
os.kill(pid, 9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(program) == ["0", "-9"]
