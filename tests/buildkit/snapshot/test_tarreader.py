import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.errors import ImageError
from buildkit.snapshot.tarreader import Member, TarReader
from tests.buildkit.snapshot.tars import Tar, patched, pax

ONE = Tar().add("file", data=b"x" * 600).finished()
LONG = "d/" * 60 + "file"


def members(data: bytes) -> list[Member]:
    tar = TarReader(io.BytesIO(data))
    found = []
    while (member := tar.next()) is not None:
        found.append(member)
    return found


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_three_formats_say(form: int) -> None:
    tar = Tar(form).add(LONG, data=b"abc", mtime=7, uid=1, gid=2, mode=0o4755)
    tar.directory("dir").symlink("l", "to/where").hardlink("h", "./a/b")
    tar.add("c", tarfile.CHRTYPE, devmajor=1, devminor=3).add("p", tarfile.FIFOTYPE)
    file, directory, link, hard, char, fifo = members(tar.finished())
    assert file.path == LONG.encode()
    assert file[1:6] == (stat.S_IFREG | 0o4755, 1, 2, 3, 7_000_000_000)
    assert (directory.path, directory.mode) == (b"dir", stat.S_IFDIR | 0o755)
    assert link.target == b"to/where"
    assert hard.link == b"a/b"
    assert char.device == (1, 3)
    assert stat.S_ISFIFO(fifo.mode)


def test_large_numbers_and_exact_times() -> None:
    headers = {"mtime": "-1.5", "uid": "4294967294", "SCHILY.xattr.user.a": "b"}
    (member,) = members(Tar().add("x", pax_headers=headers).finished())
    assert member.mtime_ns == -1_500_000_000
    assert member.uid == 4294967294
    assert member.xattrs == (("user.a", b"b"),)
    (member,) = members(Tar(tarfile.GNU_FORMAT).add("x", uid=3_000_000, mtime=-5).finished())
    assert (member.uid, member.mtime_ns) == (3_000_000, -5_000_000_000)


def test_attributes_of_overlays_are_not_seen() -> None:
    headers = {
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.redirect": "/etc",
        "SCHILY.xattr.security.selinux": "x",
    }
    (member,) = members(Tar().add("x", pax_headers=headers).finished())
    assert member.xattrs == ()


def test_content_is_read_in_pieces_or_skipped() -> None:
    tar = TarReader(io.BytesIO(Tar().add("a", data=b"12345").add("b", data=b"67").finished()))
    tar.next()
    assert tar.read(3) == b"123"
    tar.next()
    assert tar.read(100) == b"67"
    assert tar.read(100) == b""
    assert tar.next() is None


def test_a_tar_of_gnu_tar(tmp_path: Path) -> None:
    (tmp_path / "ü" / ("n" * 200)).mkdir(parents=True)
    (tmp_path / "ü" / "x").write_bytes(b"1")
    os.link(tmp_path / "ü" / "x", tmp_path / "y")
    data = subprocess.run(
        ["tar", "-C", str(tmp_path), "--sort=name", "-cf", "-", "."],
        capture_output=True,
        check=True,
    ).stdout
    assert [member.path.decode() for member in members(data)] == [
        *("", "y", "ü", "ü/" + "n" * 200, "ü/x"),
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [("./a/./b//c", "a/b/c"), ("/etc/passwd", "etc/passwd"), ("./", ""), ("a/", "a")],
)
def test_names_are_made_clean(name: str, path: str) -> None:
    (member,) = members(patched(Tar().directory("x").finished(), 0, name.encode() + b"\0"))
    assert member.path == path.encode()


HOSTILE = {
    "a name that climbs": (Tar().add("../x").finished(), "leads out of the tree"),
    "a name that climbs later": (Tar().add("a/../../x").finished(), "leads out of the tree"),
    "a link that climbs": (Tar().hardlink("a", "../x").finished(), "leads out of the tree"),
    "a wrong checksum": (b"y" + ONE[1:], "wrong checksum"),
    "cut in a header": (ONE[:300], "cut short"),
    "cut in the content": (ONE[:800], "cut short"),
    "a negative size": (patched(ONE, 124, b"\xff" * 12), "size is out of range"),
    "a huge size": (patched(ONE, 124, b"\x80" + b"\xff" * 11), "size is out of range"),
    "a size that is no number": (patched(ONE, 124, b"12x45678901\0"), "size is not a number"),
    "a huge owner": (patched(ONE, 108, b"\x80\0\1\0\0\0\0\0"), "uid is out of range"),
    "a time out of range": (
        patched(ONE, 136, b"\x80" + b"\x7f" * 11),
        "time is out of range",
    ),
    "an unknown type": (patched(ONE, 156, b"Z"), "of unknown type b'Z'"),
    "GNU's sparse type": (patched(ONE, 156, b"S"), "of unknown type b'S'"),
    "a large device": (
        patched(Tar().add("c", tarfile.CHRTYPE).finished(), 329, b"7777777\0"),
        "device is out of range",
    ),
    "half an end": (bytes(512) + ONE, "zeros is followed by"),
    "an endless long name": (
        patched(patched(ONE, 156, b"L"), 124, b"%011o\0" % (2 << 20)),
        "an extended tar header has 2097152 bytes",
    ),
    "endless pax": (
        pax(b"600010 a=%s\n" % (b"x" * 600_000))[:600_576]
        + pax(b"600010 b=%s\n" % (b"x" * 600_000)),
        "the extended headers of a tar member have 1200020 bytes",
    ),
    "pax without a length": (pax(b"path=x\n"), "a pax record has no length"),
    "pax too short": (pax(b"3 path=xxxx\n"), "a pax record is garbled"),
    "pax too long": (pax(b"99 path=x\n"), "a pax record is garbled"),
    "pax of length 0": (pax(b"0 a=b\n"), "a pax record is garbled"),
    "pax without a key": (pax(b"8 pathx\n"), "a pax record is garbled"),
    "pax time NaN": (pax(b"13 mtime=nan\n"), "not a time"),
    "pax time 1e9": (pax(b"13 mtime=1e9\n"), "not a time"),
    "pax size -1": (pax(b"11 size=-1\n"), "size is not a number"),
    "pax size 0x1": (pax(b"12 size=0x1\n"), "size is not a number"),
    "pax sparse": (pax(b"22 GNU.sparse.major=1\n"), "a sparse member"),
    "pax name with NUL": (pax(b"12 path=a\0b\n"), "holds a NUL"),
    "nothing after pax": (pax(b"10 path=x\n")[:1024], "ends after an extended header"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_damaged_or_hostile_is_refused(case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(ImageError, match=message):
        members(data)


def test_a_missing_end_is_an_end() -> None:
    data = Tar().add("x", data=b"1").unfinished()
    assert len(members(data)) == 1
    assert len(members(data + bytes(512))) == 1
    assert members(b"") == []


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_is_an_error_or_another_tar(damage: list[tuple[int, int]]) -> None:
    tar = Tar().add(LONG, data=b"x" * 700, pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.5"})
    data = bytearray(tar.symlink("l", "t" * 150).directory("d").finished())
    for offset, value in damage:
        data[offset % len(data)] = value
    for candidate in (bytes(data), resummed(data)):
        try:
            members(candidate)
        except ImageError as error:
            assert error.message


def resummed(data: bytearray) -> bytes:
    """Give the blocks that look like headers right checksums, so that damage gets further."""
    blocks = [bytes(data[at : at + 512]) for at in range(0, len(data), 512)]
    return b"".join(patched(one, 0, b"") if b"ustar" in one else one for one in blocks)
