import gzip
import io
import lzma
import struct
import tarfile
import zipfile

import pytest

from buildkit.repro.causes import Sides, Varied, cause_of_content, shown

BEGAN = 1_700_000_000
VARIED = Varied(
    (BEGAN, BEGAN + 10.0),
    (("the host name", "alpha", "another-host"), ("the number of processors", "8", "1")),
)


def cause(path: str, first: bytes, second: bytes) -> str:
    offset = next(n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return cause_of_content(Sides(path, first, second, offset), VARIED).what


def tar(time: int) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        member = tarfile.TarInfo("a")
        member.mtime = time
        archive.addfile(member)
    return memory.getvalue()


def zipped(second: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a", (2024, 1, 2, 3, 4, second)), "text")
    return memory.getvalue()


def pyc(time: int) -> bytes:
    return b"\xa7\r\r\n" + struct.pack("<III", 0, time, 5) + b"\xe3code"


def packed(form: str, number: int) -> bytes:
    return b"\x7fELF\0\1\2\3" + struct.pack(form, number) + b"\0\7\0\7"


@pytest.mark.parametrize(
    ("path", "first", "second", "what"),
    [
        ("usr/a.pyc", pyc(BEGAN), pyc(BEGAN + 3), "the header of the .pyc"),
        ("a.gz", gzip.compress(b"x", mtime=1), gzip.compress(b"x", mtime=2), "the header of gzip"),
        (
            "a.tgz",
            gzip.compress(tar(BEGAN), mtime=0),
            gzip.compress(tar(BEGAN + 3), mtime=0),
            "in what was compressed: a member of the tar",
        ),
        ("a.xz", lzma.compress(b"x" * 90), lzma.compress(b"y" * 90), "what was compressed differs"),
        ("a.jar", zipped(2), zipped(4), "an entry of the zip"),
        ("a.tar", tar(BEGAN), tar(BEGAN + 3), "a member of the tar"),
        (
            "lib.a",
            b"!<arch>\nx.o/            1700000000  0     0     644     4         `\nabcd",
            b"!<arch>\nx.o/            1700000004  0     0     644     4         `\nabcd",
            "a member of the ar archive",
        ),
        ("var/cache/ldconfig/aux-cache", b"\1", b"\2", "ldconfig's cache"),
        ("var/log/dpkg.log", b"1", b"2", "a log of the package manager"),
        ("etc/machine-id", b"a1", b"b2", "a machine ID"),
        ("etc/shadow", b"u:!:19000:", b"u:!:19001:", "shadow has the day"),
        ("a", b"on Nov  3 2026", b"on Nov  4 2026", "a time of the build"),
        ("a", b"2026-11-24 10:00:01", b"2026-11-24 10:00:04", "a time of the build"),
        ("a", b"built 1700000001\n", b"built 1700000004\n", "a time of the build, in seconds"),
        ("a", b'{"at":1700000001123}', b'{"at":1700000004567}', "a time of the build, in seconds"),
        ("a", packed("<I", BEGAN), packed("<I", BEGAN + 3), "a time of the build, in binary"),
        ("a", packed(">Q", BEGAN), packed(">Q", BEGAN + 3), "a time of the build, in binary"),
        (
            "a",
            b"id=5c46921f-27b8-4c1f-9c89-469f9bd87e33",
            b"id=c899b790-5c80-43d0-a018-894334e3dc7d",
            "random: a UUID",
        ),
        ("a", b"0123456789abcdef0123", b"fedcba98765432100123", "random, or a digest"),
        ("a", bytes(range(128, 160)), bytes(range(200, 232)), "random, or encrypted"),
        ("a", b"b\na\nc\n", b"a\nb\nc\n", "the order"),
        ("a", b"host alpha.", b"host another-host.", "the host name of the machine"),
        ("a", b"make -j8\n", b"make -j1\n", "not known"),
        ("a", b"cpus: 8\n", b"cpus: 1\n", "the number of processors"),
        ("a", b"at 18:8", b"at 11:1", "not known"),
        ("a", b"apples", b"oranges", "not known"),
    ],
)
def test_a_difference_has_a_likely_cause(path: str, first: bytes, second: bytes, what: str) -> None:
    assert cause(path, first, second).startswith(what)


def test_the_line_around_a_difference_is_shown() -> None:
    assert shown(b"one\ntwo \x1b\nthree", 6) == "'two \\x1b'"
    assert shown(b"x" * 500, 250) == repr("x" * 80)
    assert shown(b"", 0) == "''"
