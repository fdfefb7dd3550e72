"""What a mount shows, as a copy and as a digest."""

import errno
import os
import struct
from pathlib import Path

import pytest

from buildkit.context.tree import Tree
from buildkit.ops.remembered import spec_of
from buildkit.ops.select import select
from buildkit.ops.shown import mount_copy, mount_spec, shown_digest
from tests.buildkit.ops.stock import Directories
from tests.kernel import needs
from tests.trees import make_tree

_ACCESS_LIST = struct.pack(
    "<I" + "HHI" * 5,
    *(2, 1, 7, 0xFFFFFFFF, 2, 4, 1234, 4, 5, 0xFFFFFFFF, 16, 7, 0xFFFFFFFF, 32, 5, 0xFFFFFFFF),
)
"""u::rwx,u:1234:r,g::r-x,m::rwx,o::r-x (acl(5)): the mode with it is 0775."""


@pytest.mark.parametrize("name", ["a*", "a?", "[a]", "a\\b"])
def test_a_mount_has_no_wildcards(tmp_path: Path, name: str) -> None:
    make_tree(tmp_path, "file ab", "file aX")
    (tmp_path / name).write_text("meant")
    contexts = Directories({"c": tmp_path})
    selection = select(mount_copy(1, f"/{name}"), {1: contexts.tree("c")})
    assert [root.path for root in selection.roots] == [name]
    contexts.close()


def test_owners_of_what_is_shown_count() -> None:
    op = mount_copy(3, "/x")
    assert (op.keep_owner, op.unpack, op.sources[0].origin) == (True, "never", 3)  # type: ignore[union-attr]


def digest(path: Path, source: str = "/d", *, special: bool = True) -> str:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        tree = Tree(fd, "stage", special=special)
        try:
            return shown_digest(1, source, tree)
        finally:
            tree.close()
    finally:
        os.close(fd)


@pytest.mark.parametrize("line", ["dir d 0700", "dir d 0755 5:0", "dir d 0755 0:5", "dir d 1755"])
@needs("root")
def test_a_directory_of_a_stage_is_shown_with_its_attributes(tmp_path: Path, line: str) -> None:
    plain, other = (
        make_tree(tmp_path / name, one, "file d/f")
        for name, one in (("plain", "dir d 0755"), ("other", line))
    )
    assert digest(plain) != digest(other)
    # Of a context what is in it is copied.
    assert digest(plain, special=False) == digest(other, special=False)


@pytest.mark.parametrize("name", ["d", "d/f", "d/e"])
def test_access_lists_are_shown_of_a_stage(tmp_path: Path, name: str) -> None:
    first = make_tree(tmp_path, "dir d 0755", "dir d/e 0775", "file d/f 0775")
    (first / name).chmod(0o775)
    before = digest(first)
    try:
        os.setxattr(first / name, "system.posix_acl_access", _ACCESS_LIST)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("no access lists on this file system")
    assert (first / name).stat().st_mode & 0o777 == 0o775
    assert digest(first) != before
    assert digest(first, special=False) == digest(first, special=False)


def test_what_a_mount_shows_is_remembered_apart_from_what_a_copy_takes() -> None:
    assert mount_spec(1, "/d") != spec_of(mount_copy(1, "/d"), 1)
    assert mount_spec(1, "/d") != mount_spec(1, "/e")
