import json
import os
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildkit.attestation.files import ImageFiles
from buildkit.attestation.language_packages import installed
from buildkit.attestation.package import Distribution, Package, sound
from buildkit.attestation.rpm import rpm
from buildkit.attestation.sbom import check_library, packages_of, sbom_of
from buildkit.attestation.system_packages import apk, distribution, dpkg
from buildkit.errors import Cancelled, UsageError
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.progress.cancel import Cancel

Reading = Callable[[ImageFiles], Iterator[Package]]

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Description: GNU C Library
 Package: not-a-field

Package: removed
Status: deinstall ok config-files
Version: 1
"""
METADATA = (
    "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\nLicense: MIT\n\nName: x\nVersion: 2\n"
)
SQLITE = "var/lib/rpm/rpmdb.sqlite"


def files(root: Path, said: list[str] | None = None) -> ImageFiles:
    """Return the files below `root`; what is warned of is put into `said`."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    return ImageFiles(fd, ([] if said is None else said).append)


def put(root: Path, name: str, data: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def header(**tags: str | int) -> bytes:
    """Return a package header as rpm keeps it."""
    numbers = {"name": 1000, "version": 1001, "release": 1002, "epoch": 1003, "arch": 1022}
    entries, data = b"", b""
    for name, value in tags.items():
        kind, content = (4, struct.pack(">I", value)) if isinstance(value, int) else (6, b"")
        content = content or str(value).encode() + b"\0"
        entries += struct.pack(">IIII", numbers[name], kind, len(data), 1)
        data += content
    return struct.pack(">II", len(tags), len(data)) + entries + data


def rpm_database(path: Path, *blobs: bytes, statement: str = "") -> None:
    path.parent.mkdir(parents=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(statement or "CREATE TABLE Packages(hnum INTEGER PRIMARY KEY, blob BLOB)")
    if not statement:
        database.executemany("INSERT INTO Packages(blob) VALUES(?)", [(one,) for one in blobs])
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("place", "data", "read", "found"),
    [
        (
            "var/lib/dpkg/status",
            DPKG,
            dpkg,
            Package("deb", "libc6", "2.36-9+deb12u4", "amd64", source="glibc"),
        ),
        (
            "var/lib/dpkg/status.d/tzdata",
            "Package: tzdata\nVersion: 2024a\nArchitecture: all\n",
            dpkg,
            Package("deb", "tzdata", "2024a", "all"),
        ),
        (
            "lib/apk/db/installed",
            "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\n\n",
            apk,
            Package("apk", "musl", "1.2.5-r0", "x86_64", license="MIT"),
        ),
        (
            "usr/lib/python3/foo-1.0.dist-info/METADATA",
            METADATA,
            installed,
            Package("pypi", "foo-bar", "1.0", license="MIT"),
        ),
        (
            "app/node_modules/@a/b/package.json",
            json.dumps({"name": "@a/b", "version": "2.0.0", "license": {"type": "ISC"}}),
            installed,
            Package("npm", "@a/b", "2.0.0", license="ISC"),
        ),
    ],
)
def test_a_package_is_read(
    tmp_path: Path, place: str, data: str, read: Reading, found: Package
) -> None:
    put(tmp_path, place, data)
    assert list(read(files(tmp_path))) == [found._replace(place=place)]


def test_packages_of_rpm_are_read_from_a_database_in_wal_mode(tmp_path: Path) -> None:
    rpm_database(
        tmp_path / SQLITE,
        header(name="bash", version="5.2", release="1.fc40", epoch=1, arch="x86_64"),
        header(name="gpg-pubkey", version="1", release="1"),
        b"garbage",
        struct.pack(">II", 1 << 30, 1 << 30),
    )
    assert list(rpm(files(tmp_path))) == [
        Package("rpm", "bash", "1:5.2-1.fc40", "x86_64", place=SQLITE)
    ]


ENDLESS = (
    "CREATE VIEW Packages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n)"
    " SELECT x AS hnum, zeroblob(9) AS blob FROM n"
)


def test_a_hostile_rpm_database_is_passed_over_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    rpm_database(tmp_path / "a" / SQLITE, statement=ENDLESS)
    assert list(rpm(files(tmp_path / "a", said))) == []
    put(tmp_path / "b", SQLITE, b"SQLite format 3\0" + os.urandom(4000))
    assert list(rpm(files(tmp_path / "b", said))) == []
    put(tmp_path / "c", SQLITE, "text")
    assert list(rpm(files(tmp_path / "c", said))) == []
    put(tmp_path / "d", "var/lib/rpm/Packages", b"\0")
    assert list(rpm(files(tmp_path / "d", said))) == []
    assert [text.partition(":")[0] for text in said] == [f"/{SQLITE}"] * 3 + ["/var/lib/rpm"]
    assert "no table of packages" in said[0]


def test_links_stay_inside_and_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    outside = put(tmp_path, "secret", "Package: outside\nVersion: 1\n")
    root = tmp_path / "root"
    (root / "var/lib/dpkg/status.d").mkdir(parents=True)
    (root / "var/lib/dpkg/status").symlink_to(outside)
    os.mkfifo(root / "var/lib/dpkg/status.d/pipe")
    (root / "var/lib/dpkg/status.d/up").symlink_to("../../../../../secret")
    assert list(dpkg(files(root))) == []


def test_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    with put(tmp_path, "var/lib/dpkg/status", "").open("wb") as file:
        file.truncate(65 << 20)
    said: list[str] = []
    assert list(dpkg(files(tmp_path, said))) == []
    assert said == ["/var/lib/dpkg/status: not read, it has more than 64 MiB"]


@pytest.mark.parametrize("text", ["[]", "{", '{"name": 1, "version": "1"}', "[" * 100_000])
def test_a_strange_package_json_is_none(tmp_path: Path, text: str) -> None:
    put(tmp_path, "node_modules/a/package.json", text)
    assert list(installed(files(tmp_path))) == []


@pytest.mark.parametrize(
    ("name", "version"), [("", "1"), ("a", ""), ("a\x1b[2J", "1"), ("a" * 600, "1")]
)
def test_a_package_one_cannot_print_does_not_count(name: str, version: str) -> None:
    assert list(sound([Package("deb", name, version)])) == []


def test_the_distribution_is_that_of_os_release(tmp_path: Path) -> None:
    assert distribution(files(tmp_path)) == Distribution()
    put(tmp_path, "usr/lib/os-release", 'ID=debian\nVERSION_ID="12"\n')
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    assert distribution(files(tmp_path)) == Distribution("debian", "12")


def test_a_missing_library_is_told_with_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    with pytest.raises(UsageError, match="needs the library cyclonedx-python-lib") as raised:
        check_library()
    assert raised.value.hint == "pip install 'pybuild[sbom]'"


def test_the_document_of_an_image_is_always_the_same(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status", DPKG)
    put(tmp_path, "etc/os-release", "ID=debian\nVERSION_ID=12\n")
    put(tmp_path, "a/node_modules/@a/b/package.json", '{"name": "@a/b", "version": "2"}')
    put(tmp_path, "b/node_modules/@a/b/package.json", '{"name": "@a/b", "version": "2"}')
    put(tmp_path, "usr/foo-1.0.egg-info/PKG-INFO", METADATA)
    config = ImageConfig(Platform("linux", "amd64"), created="2024-01-02T03:04:05Z")

    def document() -> dict[str, object]:
        fd = os.open(tmp_path, os.O_RDONLY)
        system, packages = packages_of(fd, [].append)
        return sbom_of(Digest.of(b""), config, system, packages)

    made = document()
    assert made == document()
    assert made["bomFormat"] == "CycloneDX"
    components = made["components"]
    assert isinstance(components, list)
    assert sorted(one.get("purl", "") for one in components) == [
        "",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12",
        "pkg:npm/%40a/b@2",
        "pkg:npm/%40a/b@2",
        "pkg:pypi/foo-bar@1.0",
    ]
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["timestamp"] == "2024-01-02T03:04:05+00:00"


def go_program(modules: str, flags: int = 2) -> bytes:
    """Return what counts of a program made by Go."""
    parts = [b"go1.22.1", bytes(16) + modules.encode() + bytes(16)]
    texts = b"".join(bytes((len(one) & 0x7F | 0x80, len(one) >> 7)) + one for one in parts)
    header = (b"\xff Go buildinf:\x08" + bytes((flags,))).ljust(32, b"\0")
    return b"\x7fELF".ljust(8192, b"\0") + header + texts


GO = (
    "path\tapp\nmod\texample.org/app\t(devel)\t\ndep\tgithub.com/a/b\tv1.2.3\th1:x=\n"
    "dep\tgolang.org/x/sys\tv0.1.0\n=>\texample.org/fork\tv0.1.1\th1:y=\nbuild\t-compiler=gc\n"
)


def test_modules_of_a_go_program_are_read(tmp_path: Path) -> None:
    put(tmp_path, "bin/app", go_program(GO)).chmod(0o755)
    put(tmp_path, "bin/data", go_program(GO))
    found = [(one.name, one.version, one.place) for one in sound(installed(files(tmp_path)))]
    assert found == [
        ("github.com/a/b", "v1.2.3", "bin/app"),
        ("example.org/fork", "v0.1.1", "bin/app"),
    ]


@pytest.mark.parametrize("cut", [8192 + 10, 8192 + 33, 8192 + 60])
def test_a_damaged_list_of_modules_is_none(tmp_path: Path, cut: int) -> None:
    put(tmp_path, "bin/cut", go_program(GO)[:cut]).chmod(0o755)
    put(tmp_path, "bin/old", go_program(GO, flags=0)).chmod(0o755)
    put(tmp_path, "bin/empty", b"\x7fELF".ljust(8000, b"\0")).chmod(0o755)
    assert list(installed(files(tmp_path))) == []


def test_a_search_ends_when_it_is_to(tmp_path: Path) -> None:
    put(tmp_path, "a/node_modules/b/package.json", '{"name": "b", "version": "1"}')
    fd = os.open(tmp_path, os.O_RDONLY)
    with Cancel() as cancel:
        cancel.set(2)
        with pytest.raises(Cancelled):
            packages_of(fd, [].append, cancel.check)
    os.close(fd)
