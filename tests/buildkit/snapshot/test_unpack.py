import io
import os
import tarfile
from pathlib import Path

import pytest

from buildkit.errors import ImageError
from buildkit.snapshot.unpack import Unpacked, unpack_archive, unpack_layer
from tests.buildkit.snapshot.tars import Tar
from tests.kernel import needs_root
from tests.trees import read_tree

pytestmark = needs_root


def unpack(tmp_path: Path, tar: Tar) -> Unpacked:
    return unpack_bytes(tmp_path, tar.finished())


def unpack_bytes(tmp_path: Path, data: bytes) -> Unpacked:
    fs = tmp_path / "fs"
    fs.mkdir()
    fs.chmod(0o755)
    fd = os.open(fs, os.O_RDONLY)
    try:
        return unpack_layer(io.BytesIO(data), fd)
    finally:
        os.close(fd)


def tree(tmp_path: Path) -> list[str]:
    """Return the tree, opaque directories by one word whatever the attribute is called."""
    lines = read_tree(tmp_path / "fs")
    for attribute in ("trusted", "user"):
        lines = [line.replace(f"xattr.{attribute}.overlay.opaque=y", "opaque") for line in lines]
    return lines


def test_everything_a_layer_can_hold(tmp_path: Path) -> None:
    tar = Tar().directory("./", mode=0o700, mtime=5).directory("d", mode=0o2750, uid=1, gid=2)
    tar.add("d/f", data=b"x", mode=0o4711, uid=3, mtime=9).hardlink("d/h", "./d/f")
    tar.symlink("l", "/d").add("p", tarfile.FIFOTYPE, mode=0o600)
    tar.add("x", pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.25"})
    unpacked = unpack(tmp_path, tar)
    assert unpacked == Unpacked(7, has_root=True, hides=False, deletes=(), implied=())
    assert tree(tmp_path) == [
        "dir d 2750 1:2",
        "file d/f 4711 3:0 text=x",
        "hard d/h = d/f",
        "link l -> /d 0:0",
        "fifo p 0600 0:0",
        "file x 0644 0:0 xattr.user.a=b",
    ]
    assert (tmp_path / "fs/d/f").stat().st_mtime == 9
    assert (tmp_path / "fs/x").stat().st_mtime_ns == 1_250_000_000
    assert (tmp_path / "fs").stat().st_mtime == 5


def test_deletions_become_whiteouts(tmp_path: Path) -> None:
    tar = Tar().add("a/.wh.gone").add("b/.wh..wh..opq").add("b/new").add(".wh..wh.plnk")
    unpacked = unpack(tmp_path, tar)
    assert (unpacked.deletes, unpacked.hides, unpacked.implied) == ((b"a",), False, (b"a", b"b"))
    assert tree(tmp_path) == [
        "dir a 0755 0:0",
        "whiteout a/gone",
        "dir b 0755 0:0 opaque",
        "file b/new 0644 0:0",
    ]


def test_a_deletion_of_what_the_layer_itself_has_is_of_the_layers_below(tmp_path: Path) -> None:
    tar = Tar().add("f").add(".wh.f").directory("d").add("d/x").add(".wh.d")
    unpack(tmp_path, tar.add(".wh.late").directory("late").add(".wh.e").add("e/x"))
    assert tree(tmp_path) == [
        "dir d 0755 0:0 opaque",
        "file d/x 0644 0:0",
        "dir e 0755 0:0 opaque",
        "file e/x 0644 0:0",
        "file f 0644 0:0",
        "dir late 0755 0:0 opaque",
    ]


def test_a_layer_may_hide_everything_below(tmp_path: Path) -> None:
    assert unpack(tmp_path, Tar().add(".wh..wh..opq").add("x")).hides
    assert tree(tmp_path) == ["file x 0644 0:0"]


def test_the_last_entry_of_a_name_counts(tmp_path: Path) -> None:
    tar = Tar().add("a", data=b"1").add("a", data=b"2").directory("b").add("b/x").symlink("b", "/")
    tar.symlink("c", "/etc").directory("c").add("c/passwd").add("d").directory("d", mode=0o700)
    unpack(tmp_path, tar.directory("e").directory("e", uid=7))
    assert tree(tmp_path) == [
        "file a 0644 0:0 text=2",
        "link b -> / 0:0",
        "dir c 0755 0:0",
        "file c/passwd 0644 0:0",
        "dir d 0700 0:0",
        "dir e 0755 7:0",
    ]


def test_a_default_access_list_is_not_inherited_by_what_the_layer_puts_there(
    tmp_path: Path,
) -> None:
    acl = b"\2\0\0\0\1\0\7\0\xff\xff\xff\xff\4\0\0\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff"
    (tmp_path / "source").mkdir()
    os.setxattr(tmp_path / "source", "system.posix_acl_default", acl)
    value = acl.decode("utf-8", "surrogateescape")
    tar = Tar().directory("d", pax_headers={"SCHILY.xattr.system.posix_acl_default": value})
    unpack(tmp_path, tar.add("d/f"))
    assert os.getxattr(tmp_path / "fs/d", "system.posix_acl_default") == acl
    assert os.listxattr(tmp_path / "fs/d/f") == []


def test_a_hard_link_to_a_symlink_is_another_symlink(tmp_path: Path) -> None:
    unpack(tmp_path, Tar().symlink("l", "/etc/passwd").hardlink("h", "l"))
    assert tree(tmp_path) == ["link h -> /etc/passwd 0:0", "link l -> /etc/passwd 0:0"]


def test_paths_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    name = "/".join(["x" * 100] * 60) + "/end"
    unpack(tmp_path, Tar().add(name, data=b"1").hardlink("short", name))
    assert (tmp_path / "fs/short").read_bytes() == b"1"
    assert (tmp_path / "fs/short").stat().st_nlink == 2


def test_nothing_depends_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        unpack(tmp_path, Tar().add("a/f", mode=0o666).directory("d", mode=0o777))
    finally:
        os.umask(before)
    assert tree(tmp_path) == ["dir a 0755 0:0", "file a/f 0666 0:0", "dir d 0777 0:0"]


HOSTILE = {
    "through a symlink out": (Tar().symlink("l", "/tmp").add("l/x"), "goes through 'l'"),
    "through a symlink inside": (Tar().directory("d").symlink("l", "d").add("l/x"), "through 'l'"),
    "through a file": (Tar().add("f").add("f/x"), "goes through 'f'"),
    "a deletion through a symlink": (Tar().symlink("l", "/").add("l/.wh.etc"), "through 'l'"),
    "an opaque mark through a symlink": (
        Tar().symlink("l", "/").add("l/.wh..wh..opq"),
        "through 'l'",
    ),
    "a hard link out of the layer": (Tar().hardlink("h", "/etc/passwd"), "no file of the same"),
    "a hard link through a symlink": (
        Tar().symlink("l", "/etc").hardlink("h", "l/passwd"),
        "no file of the same",
    ),
    "a hard link to a directory": (Tar().directory("d").hardlink("h", "d"), "no file of the same"),
    "a hard link to the root": (Tar().hardlink("h", "."), "no file of the same"),
    "a hard link to itself": (Tar().hardlink("h", "h"), "a hard link to itself"),
    "a hard link to a deletion": (Tar().add(".wh.a").hardlink("h", "a"), "no file of the same"),
    "a file as root": (Tar().add("."), "the root of the archive is not a directory"),
    "a symlink as root": (Tar().symlink("./", "/etc"), "the root of the archive is not"),
    "a device that deletes": (
        Tar().add("c", tarfile.CHRTYPE, devmajor=0, devminor=0),
        "0:0 character device",
    ),
    "deletes itself": (Tar().add("a/.wh.."), "deletes nothing that can be named"),
    "deletes its parent": (Tar().add("a/.wh..."), "deletes nothing that can be named"),
    "deletes nothing": (Tar().add("a/.wh."), "deletes nothing that can be named"),
    "inside a deletion": (Tar().add(".wh.a/b"), "is inside of a deletion"),
    "too long a name": (Tar().add("x" * 256), "file name too long"),
    "an empty link": (Tar().symlink("l", ""), "cannot be unpacked"),
    "a broken capability": (
        Tar().add("f", pax_headers={"SCHILY.xattr.security.capability": "junk"}),
        "cannot be unpacked",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_layer_is_refused(tmp_path: Path, case: str) -> None:
    tar, message = HOSTILE[case]
    with pytest.raises(ImageError, match=message):
        unpack(tmp_path, tar)
    assert not Path("/tmp/x").exists()


def test_an_archive_that_is_no_layer_has_no_deletions(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    unpack_archive(io.BytesIO(Tar().add(".wh.a").add("b/.wh..wh..opq").finished()), fd)
    os.close(fd)
    assert read_tree(tmp_path) == [
        *("file .wh.a 0644 0:0", "dir b 0755 0:0", "file b/.wh..wh..opq 0644 0:0"),
    ]
