"""Entering own namespaces, as root, with many ids, and with one."""

import subprocess
from pathlib import Path

import pytest

from runtime import idmap
from runtime.idmap import IdMap, Range
from tests.kernel import REPOSITORY, as_user, interpreter_for, needs, needs_root, ordinary_user


def run(program: str, *, ordinary: bool) -> str:
    user = ordinary_user() if ordinary else None
    python = interpreter_for(user)
    text = f"import os, sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{program}"
    done = subprocess.run(
        [python, "-B", "-c", text],
        capture_output=True,
        text=True,
        check=False,
        **as_user(user),  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@needs_root
def test_root_gets_a_mount_namespace() -> None:
    program = (
        "from runtime import rootless, syscalls; before = os.readlink('/proc/self/ns/mnt')\n"
        "print(rootless.enter().kind, before != os.readlink('/proc/self/ns/mnt'))\n"
        "syscalls.mount('tmpfs', '/mnt', 'tmpfs'); open('/mnt/pybuild-was-here', 'w')"
    )
    assert run(program, ordinary=False) == "root True\n"
    assert not Path("/mnt/pybuild-was-here").exists()


@needs("rootless")
def test_an_ordinary_user_becomes_root_of_many_ids() -> None:
    program = (
        "from runtime import rootless; print(rootless.enter().kind, os.getuid(), os.getgid())\n"
        "import tempfile; path = tempfile.mkdtemp(); os.chown(path, 1000, 1000)\n"
        "print(os.stat(path).st_uid); os.rmdir(path)"
    )
    assert run(program, ordinary=True).split() == ["subordinate", "0", "0", "1000"]


@needs("rootless")
def test_maps_that_cannot_even_be_tried_are_told_as_the_kernel_did() -> None:
    program = (
        "from runtime import idmap, rootless\n"
        "def write_maps(*args): raise BlockingIOError(11, 'no process more')\n"
        "idmap.write_maps = write_maps\n"
        "try: rootless.enter()\n"
        "except OSError as error: print(error.errno)"
    )
    assert run(program, ordinary=True) == "11\n"


@needs("rootless")
def test_without_subordinate_ids_there_is_one_and_a_reason() -> None:
    program = (
        "from runtime import idmap, rootless\n"
        "from runtime.idmap import IdMap, Range\n"
        "idmap.of_user = lambda u, g: IdMap((Range(0, u, 1),), (Range(0, g, 1),))\n"
        "identity = rootless.enter(); print(identity.kind, os.getuid()); print(identity.reason)\n"
        "from runtime import syscalls; syscalls.mount('tmpfs', '/mnt', 'tmpfs')"
    )
    lines = run(program, ordinary=True).splitlines()
    assert lines[0] == "single 0"
    assert "no subordinate ids" in lines[1]


@needs("rootless")
def test_without_user_namespaces_there_is_a_hint() -> None:
    program = (
        "from runtime import rootless, errors, syscalls\n"
        "def unshare(flags): raise OSError(28, 'No space left on device')\n"
        "syscalls.unshare = unshare\n"
        "try: rootless.enter()\n"
        "except errors.UnsupportedError as error: print(error.message); print(error.hint)"
    )
    assert run(program, ordinary=True).splitlines() == [
        "user namespaces: no space left on device",
        "raise the sysctl user.max_user_namespaces",
    ]


def test_ranges_of_a_user_come_by_name_and_by_number() -> None:
    text = "# comment\nbob:100000:65536\n1000:300000:10\nalice:1:1\nbob:x:1\nbob:5\n"
    assert idmap.subordinate(text, "bob", 1000) == ((100000, 65536), (300000, 10))


def test_ranges_follow_each_other_behind_root() -> None:
    assert idmap.ranges(1000, ((100000, 65536), (300000, 10))) == (
        Range(0, 1000, 1),
        Range(1, 100000, 65536),
        Range(65537, 300000, 10),
    )


@pytest.mark.parametrize(("users", "groups", "single"), [(1, 2, True), (2, 1, True), (2, 2, False)])
def test_both_kinds_of_ids_are_needed(users: int, groups: int, single: bool) -> None:
    one = Range(0, 0, 1)
    assert IdMap((one,) * users, (one,) * groups).is_single is single
