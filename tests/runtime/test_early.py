"""The monitor that is forked before its task is known: it waits, ends unasked, and binds nobody."""

import os
import subprocess
import sys

from tests.kernel import needs
from tests.program import TOP

START = """
import os, sys, time
from runtime import early
one = early.fork()
"""
STATE = """
def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{START}{STATE}{program}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(TOP), "PATH": os.defpath, **environment},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@needs("root")
@needs("processors")
def test_it_waits_in_namespaces_of_its_own_and_goes_when_it_is_not_wanted() -> None:
    told = run("""
pid = one._pid
with open(f"/proc/{pid}/status") as file:
    print([line.split()[-1] for line in file if line.startswith("NSpid")])
print(state(pid) in "RSD")
one.discard()
one.discard()
print(state(pid))
""")
    assert told.split() == ["['1']", "True", "gone"]


@needs("root")
@needs("processors")
def test_it_ends_with_its_caller() -> None:
    pid = run("print(one._pid, flush=True); os._exit(0)").strip()
    waiting = f"import time\nwhile state({pid}) not in ('gone', 'Z'): time.sleep(0.01)\n"
    subprocess.run([sys.executable, "-c", f"{STATE}{waiting}"], check=True, timeout=30)


@needs("root")
@needs("processors")
def test_what_its_caller_forks_is_in_the_callers_own_pid_namespace() -> None:
    told = run("""
here = os.readlink("/proc/self/ns/pid")
if os.fork() == 0:
    print(os.readlink("/proc/self/ns/pid") == here, flush=True)
    os._exit(0)
os.wait()
one.discard()
print(os.readlink(f"/proc/self/ns/pid_for_children") == here)
""")
    assert told.split() == ["True", "True"]


@needs("root")
def test_there_is_none_on_one_processor() -> None:
    program = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nprint(early.fork())"
    assert run(f"if one: one.discard()\n{program}") == "None\n"


@needs("root")
@needs("processors")
def test_what_is_typed_at_the_terminal_of_its_caller_is_not_for_it() -> None:
    told = run("""
while os.getsid(one._pid) != one._pid:
    time.sleep(0.001)
print(os.getsid(one._pid) == one._pid)
one.discard()
""")
    assert told == "True\n"


@needs("root")
@needs("processors")
def test_one_that_has_ended_takes_no_task() -> None:
    told = run("""
from runtime import starting
from runtime.idmap import Range
lock = os.open("/", os.O_RDONLY)
os.kill(one._pid, 9)
os.waitpid(one._pid, 0)
print(starting._hand_over(Range(0, 0, 1), lock, one))
os.fstat(lock)
one.discard()
""")
    assert told == "None\n"


@needs("root")
def test_root_of_a_user_namespace_is_not_bound_to_another_pid_namespace() -> None:
    told = run("""
if one:
    one.discard()
from runtime import syscalls
syscalls.unshare(syscalls.CLONE_NEWUSER)
here = os.readlink("/proc/self/ns/pid")
print(early.fork(), os.readlink("/proc/self/ns/pid_for_children") == here)
if os.fork() == 0:
    os._exit(0)
os.wait()
""")
    assert told == "None True\n"
