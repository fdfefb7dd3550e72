"""State roots on file systems that are small, without inodes or read-only."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime import syscalls
from tests import kernel
from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Pybuild

SMALL = "size=12m"
FEW = "size=50m,nr_inodes=900"


@contextmanager
def small(caller: Caller, options: str) -> Iterator[Pybuild]:
    """Give pybuild on a store that lies on a small file system."""
    kernel.require("tmpfs")
    root = caller.place("small")
    syscalls.mount("tmpfs", str(root), "tmpfs", 0, options)
    try:
        program = caller.empty(root=root / "store")
        program("load", "-q", "-i", caller.base).ok()
        yield program
    finally:
        syscalls.umount(str(root), syscalls.MNT_DETACH)


def test_without_room_to_check_a_layer_it_is_not_called_damaged(as_root: Caller) -> None:
    """It is unpacked beside the one that is checked."""
    with small(as_root, SMALL) as program:
        filler = program.root.parent / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        for options in ((), ("--repair",)):
            done = program("fsck", *options)
            assert done.status == 1
            assert "cannot be checked: no space left on device" in done.errors
            assert "hint: " in done.errors
        filler.unlink()
        program("fsck").ok()
        program.run("busybox", "true").ok()


CASES = {
    "a step fills the disk": (
        SMALL,
        "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=50\n",
        ("No space left on device",),
    ),
    "a copy fills the disk": (
        SMALL,
        "FROM busybox\nCOPY big /\n",
        ("no space left on device", "hint: "),
    ),
    "a copy of many files": (
        FEW,
        # As a tar it fits.
        "FROM busybox\nCOPY many /many\nRUN true\n",
        ("no space left on device", "hint: "),
    ),
    "a step makes many files": (
        FEW,
        "FROM busybox\nRUN for n in $(seq 1000); do echo > /f$n || exit 1; done\n",
        ("No space left on device",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_full_disk_is_told_and_what_was_half_made_goes(as_root: Caller, case: str) -> None:
    options, dockerfile, told = CASES[case]
    context = as_root.context(dockerfile, *(f"file many/{n}" for n in range(900)))
    (context / "big").write_bytes(b"x" * (20 << 20))
    with small(as_root, options) as program, nothing_left(program):
        done = program.build(context)
        assert done.status == 1
        for text in told:
            assert text in done.errors
        assert "Traceback" not in done.errors

        program.build(as_root.context("FROM busybox\nRUN echo fits > /small\n")).ok()
        assert program.run("test", "cat", "/small").ok().output == "fits\n"
        program("fsck").ok()


def test_an_output_that_does_not_fit_is_not_there(as_root: Caller) -> None:
    context = as_root.context("FROM busybox\nCOPY noise /\n")
    (context / "noise").write_bytes(os.urandom(4 << 20))
    with small(as_root, "size=6m") as program:
        target = program.root.parent
        output = as_root.pybuild.build(
            context, "-o", f"type=oci,dest={target}/out.tar", name="noise"
        )
        assert output.status == 4
        assert "no space left on device" in output.errors
        saved = as_root.pybuild("save", "-o", target / "saved.tar", "busybox", "noise")
        assert saved.status == 4
        assert [path.name for path in target.iterdir()] == ["store"]


def test_a_build_on_a_read_only_state_root_says_one_thing_cached_or_not(as_root: Caller) -> None:
    context = as_root.context("FROM scratch\nCOPY Dockerfile /\n")
    with small(as_root, SMALL) as program:
        program.build(context).ok()
        flags = syscalls.MS_REMOUNT | syscalls.MS_RDONLY
        syscalls.mount("tmpfs", str(program.root.parent), None, flags, None)
        for words in (("build",), ("build", "--no-cache"), ("tag", "busybox")):
            done = program(*words, *(("other",) if words[0] == "tag" else (context,)))
            assert done.status == 1
            *_, error, hint = done.errors.splitlines()
            assert error.startswith(f"ERROR: {program.root}/")
            assert error.endswith(": read-only file system")
            assert hint.startswith("hint: this state root can only be looked at; --root ")


@pytest.mark.parametrize("log", [True, False])
def test_a_read_only_state_root_can_be_looked_at(as_root: Caller, log: bool) -> None:
    with small(as_root, SMALL) as program:
        wanted = program.inspect("busybox")["Id"]
        files = [f"file {number} text={number}" for number in range(100, 300)]
        context = as_root.context("FROM busybox\nCOPY * /d/\n", *files, "file 999 text=999999")
        program.build(context, name="many").ok()
        if not log:
            # Whoever closes a database last takes its log along.
            database = sqlite3.connect(program.root / "state.db")
            database.execute("SELECT count(*) FROM image").fetchall()
            database.close()
        assert (program.root / "state.db-wal").exists() == log
        flags = syscalls.MS_REMOUNT | syscalls.MS_RDONLY
        syscalls.mount("tmpfs", str(program.root.parent), None, flags, None)

        assert program.inspect("busybox")["Id"] == wanted
        assert "busybox" in program("images").ok().output
        for words in (("history", "busybox"), ("du",), ("records", "ls"), ("tree", "busybox")):
            program(*words).ok()
        # A layer that is kept as its tar: its tree is made in memory.
        assert "/d/999" in program("size", "many").ok().output
        assert "D   " in program("diff", "many", "busybox").ok().output
        ran = program("run", "--rm", "busybox", "true")
        assert (ran.status, "read-only file system" in ran.errors) == (125, True)
        refused = program("verify")
        assert refused.status == 2
        assert "steps cannot be run again: the state root is on a read-only" in refused.errors
        saved = as_root.place("saved") / "image.tar"
        program("save", "-o", saved, "busybox").ok()
        assert saved.stat().st_size > 0
        assert program("fsck").ok().output == "the store is sound\n"
        done = program("fsck", "--repair")
        assert (done.status, done.output) == (1, "")
        assert "read-only file system" in done.errors
