"""Owners where there is one id: what is recorded beside a file, and that elsewhere nothing is."""

import os
import subprocess
from pathlib import Path

import pytest

from runtime import owners
from tests.kernel import REPOSITORY, as_user, interpreter_for, needs, ordinary_user

PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from runtime import idmap, owners, rootless
from runtime.idmap import IdMap, Range
idmap.of_user = lambda u, g: IdMap((Range(0, u, 1),), (Range(0, g, 1),))
assert rootless.enter().kind == "single"
os.chdir(sys.argv[2])
top = os.open(".", os.O_RDONLY)
def tell(name):
    found = owners.stat_at(name, top)
    return f"{found.st_uid}:{found.st_gid}:{found.st_mode & 0o7777:o}"
open("file", "w").close(); os.chmod("file", 0o6755); os.mkdir("dir"); os.mkfifo("pipe")
os.symlink("nowhere", "link")
"""
STEPS = {
    "each kind of file": (
        (
            "for n in ('file', 'dir', 'pipe', 'link'):\n"
            "    owners.give(owners.at(top, n), 1, 4294967294)\n"
            "print(*map(tell, ('file', 'dir', 'pipe')), tell('link')[:12])"
        ),
        "1:4294967294:755 1:4294967294:755 1:4294967294:644 1:4294967294",
    ),
    "by descriptor, one at a time": (
        (
            "fd = os.open('file', os.O_PATH); owners.give(fd, 3, -1); owners.give(fd, -1, 4)\n"
            "print(tell('file'), owners.stat_of(fd).st_gid)"
        ),
        "3:4:755 4",
    ),
    "back to root": (
        "owners.give('dir', 3, 4); owners.give('dir', 0, 0); print(tell('dir'))",
        "0:0:755",
    ),
    "a note changes nothing else": (
        (
            "owners.note('file', os.stat('file').st_mode, 7, 8, follow_symlinks=False)\n"
            "print(tell('file'))"
        ),
        "7:8:6755",
    ),
    "times and sizes stay": (
        (
            "os.utime('file', ns=(5, 123456789)); owners.give('file', 3, 4)\n"
            "a, b = os.stat('file'), owners.stat_at('file', top)\n"
            "names = [n for n in dir(a) if n.startswith('st_') and n not in ('st_uid', 'st_gid')]\n"
            "print([n for n in names if getattr(a, n) != getattr(b, n)], b.st_mtime_ns)"
        ),
        "[] 123456789",
    ),
    "what is no record is none": (
        (
            "values = (b'', b'x', b'1', b'1:', b':1', b'1:2:3', b'-1:2', b'1:4294967295', b'9')\n"
            "for v in values:\n"
            "    os.setxattr('file', owners.ATTRIBUTE, v); print(tell('file')[:3], end=' ')"
        ),
        "0:0 " * 8 + "0:0",
    ),
}


@needs("rootless")
@pytest.mark.parametrize("case", STEPS)
def test_owners_are_recorded(case: str) -> None:
    user = ordinary_user() if os.geteuid() == 0 else None
    steps, printed = STEPS[case]
    place = Path(subprocess.run(
        ["mktemp", "-d"], check=True, capture_output=True, text=True, **as_user(user)
    ).stdout.strip())  # fmt: skip
    python = interpreter_for(user)
    assert python is not None
    try:
        done = subprocess.run(
            [python, "-B", "-c", PROGRAM + steps, REPOSITORY, place],
            capture_output=True, text=True, check=False, **as_user(user),
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", place], check=True)
    assert done.stderr == ""
    assert done.stdout.strip() == printed


def test_elsewhere_the_kernel_is_believed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.setxattr(file, owners.ATTRIBUTE, b"3:4")
    found = owners.seen(file.stat(), str(file))
    assert not owners.are_recorded()
    assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
