"""A root file system from programs of this machine."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from buildkit.base import host
from buildkit.base.tree import Link, lay
from buildkit.errors import ImageError
from tests.buildkit.base.test_elf import make_elf


def test_there_is_always_a_place_for_everything() -> None:
    tree = host.plan(["ls"], "").tree

    assert {"tmp", "root", "etc/passwd", "etc/group", "etc/nsswitch.conf"} <= tree.keys()
    for path in tree:
        assert not os.path.dirname(path) or os.path.dirname(path) in tree


def test_bin_is_merged_as_on_this_machine() -> None:
    tree = host.plan(["ls"], "").tree
    assert isinstance(tree["bin"], Link) == os.path.islink("/bin")


def test_a_shell_makes_bin_sh() -> None:
    assert host.plan(["bash"], "").shell == "/bin/sh"


def test_equal_programs_give_an_equal_tree(tmp_path: Path) -> None:
    def made(name: str) -> list[tuple[str, int, int, int]]:
        (tmp_path / name).mkdir()
        lay(host.plan(["ls", "sh"], "").tree, str(tmp_path / name), clamp=None)
        found = []
        for directory, _, files in os.walk(tmp_path / name):
            for file in (".", *files):
                status = os.lstat(os.path.join(directory, file))
                inside = os.path.join(directory, file).removeprefix(str(tmp_path / name))
                found.append(
                    (inside, status.st_mode, int(status.st_mtime), status.st_mtime_ns % 1000)
                )
        return sorted(found)

    before = made("one")
    previous = os.umask(0o077)
    try:
        assert made("two") == before
    finally:
        os.umask(previous)


def test_times_are_clamped(tmp_path: Path) -> None:
    laid = lay(host.plan(["ls"], "").tree, str(tmp_path), clamp=1000)
    assert laid.newest <= 1000
    assert os.lstat(tmp_path / "etc/passwd").st_mtime <= 1000


def test_modes_are_those_of_a_root_file_system(tmp_path: Path) -> None:
    lay(host.plan(["ls"], "").tree, str(tmp_path), clamp=None)
    assert stat.S_IMODE((tmp_path / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "root").stat().st_mode) == 0o700


def test_labels_tell_programs_with_digests_and_the_command(tmp_path: Path) -> None:
    base = host.plan(["ls"], "")
    told = host.labels(base, lay(base.tree, str(tmp_path), clamp=None), ["ls"])

    assert told["io.pybuild.base.command"] == "pybuild base host ls"
    assert told["io.pybuild.base.programs"].count('"digest":"sha256:') >= 1
    assert '"digest":""' not in told["io.pybuild.base.programs"]


def test_an_applet_never_replaces_a_program_that_was_asked_for(tmp_path: Path) -> None:
    program = tmp_path / "wget"
    program.write_bytes(make_elf())
    program.chmod(0o755)

    tree = host.plan([str(program)], "").tree

    links = {path: entry for path, entry in tree.items() if os.path.basename(path) == "wget"}
    assert "busybox" not in str(links)


def test_an_unknown_program_is_an_error() -> None:
    with pytest.raises(ImageError, match="no program called"):
        host.plan(["no-such-program-here"], "")


@pytest.mark.skipif(os.getuid() != 0, reason="chroot needs root")
def test_the_programs_start_in_the_tree(tmp_path: Path) -> None:
    lay(host.plan(["ls", "sh"], "").tree, str(tmp_path), clamp=None)

    done = subprocess.run(
        ["chroot", str(tmp_path), "/bin/sh", "-c", "ls /etc"], capture_output=True, text=True
    )

    assert done.stdout.split() == ["group", "nsswitch.conf", "passwd"]
