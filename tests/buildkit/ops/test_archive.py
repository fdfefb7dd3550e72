"""ADD of archives: told by content, unpacked into what is there, never out of it."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.errors import BuildError, ContextError, StepError
from buildkit.ops.archive import is_archive
from buildkit.snapshot.marks import is_opaque
from tests.buildkit.ops.cases import parse_copy
from tests.buildkit.ops.test_copy import Stage, needs_root
from tests.trees import make_tree, read_tree

pytestmark = needs_root

_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def tar(*lines: str) -> bytes:
    """Make a tar: `KIND NAME [MODE] [UID:GID] [text=... | -> TARGET | rdev=M:N]` a line."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for line in lines:
            kind, name, *rest = line.split()
            info = tarfile.TarInfo(name)
            info.type = _TYPES[kind]
            info.mode = 0o755 if kind == "dir" else 0o644
            info.mtime = 1_000_000_000
            data = b""
            for word in rest:
                if word.startswith("text="):
                    data = word[5:].encode()
                elif word.startswith("rdev="):
                    info.devmajor, info.devminor = map(int, word[5:].split(":"))
                elif word.isdecimal():
                    info.mode = int(word, 8)
                elif rest[0] == "->":
                    info.linkname = rest[1]
                elif ":" in word:
                    info.uid, info.gid = map(int, word.split(":"))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def add(
    tmp: Path, data: bytes, instruction: str = "ADD a.tar /d/", parent: list[str] | None = None
) -> list[str]:
    sections = {"context": ["dir sub"]} | ({} if parent is None else {"parent": parent})
    stage = Stage(tmp, sections)
    (tmp / "context/a.tar").write_bytes(data)
    op, _ = parse_copy(instruction)
    try:
        return stage.copy(op, stage.select(op))
    finally:
        stage.close()


def same(tmp: Path, found: list[str], *wanted: str) -> None:
    assert found == read_tree(make_tree(tmp / "wanted", *wanted))


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress],
    ids=["plain", "gz", "bz2", "xz"],
)
def test_an_archive_is_unpacked_whatever_its_compression_and_name(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    data = compress(tar("dir bin 0711 3:4", "file bin/x 4755 1:2 text=X", "link l -> /bin/x"))
    found = add(tmp_path, data)
    same(
        tmp_path,
        found,
        "dir d",
        "dir d/bin 0711 3:4",
        "file d/bin/x 4755 1:2 text=X",
        "link d/l -> /bin/x",
    )
    assert (tmp_path / "upper/d/bin").stat().st_mtime == 1_000_000_000
    assert (tmp_path / "upper/d/bin/x").stat().st_mtime == 1_000_000_000


def test_a_zstd_archive_is_unpacked(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    found = add(tmp_path, zstandard.ZstdCompressor().compress(tar("file x text=1")))
    same(tmp_path, found, "dir d", "file d/x text=1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain text, whatever it is called",
        bytes(10240),
        gzip.compress(b"no tar in here", mtime=0),
        gzip.compress(b"x" * 600, mtime=0),
        b"\x1f\x8b\x08broken",
        b"BZh9broken",
        tar("file x text=1")[:300],
    ],
)
def test_what_is_no_archive_is_copied(tmp_path: Path, data: bytes) -> None:
    add(tmp_path, data)
    assert (tmp_path / "upper/d/a.tar").read_bytes() == data


@pytest.mark.parametrize("instruction", ["ADD --unpack=false a.tar /d/", "COPY a.tar /d/"])
def test_an_archive_is_copied_when_that_is_wanted(tmp_path: Path, instruction: str) -> None:
    data = tar("file x text=1")
    add(tmp_path, data, instruction)
    assert (tmp_path / "upper/d/a.tar").read_bytes() == data


def test_an_archive_in_a_directory_is_copied(tmp_path: Path) -> None:
    add(tmp_path, tar("file x text=1"), "ADD . /d/")
    assert sorted(os.listdir(tmp_path / "upper/d")) == ["a.tar", "sub"]


def test_a_download_is_unpacked_on_request_only(tmp_path: Path) -> None:
    for number, (flag, names) in enumerate([("", ["a.tar"]), ("--unpack ", ["x"])]):
        stage = Stage(tmp_path / str(number), {"context": []})
        (tmp_path / str(number) / "context/a.tar").write_bytes(tar("file x text=1"))
        stage.context.tree.download = True
        op, _ = parse_copy(f"ADD {flag}a.tar /d/")
        stage.copy(op, stage.select(op))
        assert os.listdir(tmp_path / str(number) / "upper/d") == names
        stage.close()


def test_chown_overrides_the_owners_of_an_archive(tmp_path: Path) -> None:
    data = tar("dir a 0700 1:1", "file a/x 6755 2:2 text=X", "link a/l -> x", "file b/y text=Y")
    found = add(tmp_path, data, "ADD --chown=7:8 a.tar /d/")
    same(
        tmp_path,
        found,
        "dir d 0755 7:8",
        "dir d/a 0700 7:8",
        "link d/a/l -> x 7:8",
        "file d/a/x 6755 7:8 text=X",
        "dir d/b 0755 7:8",
        "file d/b/y 0644 7:8 text=Y",
    )


def test_an_archive_merges_into_what_is_there(tmp_path: Path) -> None:
    parent = ["dir d 0700 5:5", "dir d/listed 0700 5:5", "dir d/implied 0700 5:5"]
    data = tar("dir listed 0711 1:1", "file listed/x text=X", "file implied/y text=Y")
    found = add(tmp_path, data, parent=[*parent, "file d/listed/old text=o"])
    same(
        tmp_path,
        found,
        "dir d 0700 5:5",
        "dir d/implied 0700 5:5",
        "file d/implied/y text=Y",
        "dir d/listed 0711 1:1",
        "file d/listed/x text=X",
    )


def test_entries_replace_whatever_is_in_their_way(tmp_path: Path) -> None:
    parent = ["file d/a/below text=o", "file d/b text=o", "link d/c -> /elsewhere", "dir elsewhere"]
    data = tar("file a text=A", "dir b", "file b/x text=X", "dir c", "file c/y text=Y")
    found = add(tmp_path, data, parent=parent)
    same(
        tmp_path,
        found,
        "dir d",
        "file d/a text=A",
        "dir d/b",
        "file d/b/x text=X",
        "dir d/c",
        "file d/c/y text=Y",
    )


def test_links_of_the_image_are_followed_below_the_destination_only(tmp_path: Path) -> None:
    parent = ["link lib -> usr/lib", "dir usr/lib 0711"]
    found = add(tmp_path / "1", tar("file lib/x text=X"), "ADD a.tar /", parent)
    same(tmp_path / "1", found, "dir usr", "dir usr/lib 0711", "file usr/lib/x text=X")
    with pytest.raises(StepError, match="leads out of /d"):
        add(tmp_path / "2", tar("file lib/x text=X"), parent=["link d/lib -> /etc", "dir etc"])


def test_hard_links_in_an_archive_stay_one_file(tmp_path: Path) -> None:
    found = add(tmp_path, tar("file x text=X", "hard y -> x"))
    same(tmp_path, found, "dir d", "file d/x text=X", "hard d/y = d/x")


def test_a_later_entry_wins(tmp_path: Path) -> None:
    data = tar("file x text=1", "dir y", "file y/z text=2", "file y text=3", "file x text=4")
    same(tmp_path, add(tmp_path, data), "dir d", "file d/x text=4", "file d/y text=3")


def test_several_archives_go_into_one_directory(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": [], "parent": ["file d/a/old text=o"]})
    for number, data in enumerate((tar("file a text=1"), tar("dir a", "file a/x text=2"))):
        (tmp_path / f"context/{number}.tar").write_bytes(data)
    op, _ = parse_copy("ADD *.tar /d/")
    stage.copy(op, stage.select(op))
    assert os.listdir(tmp_path / "upper/d/a") == ["x"]
    made = os.open(tmp_path / "upper/d/a", os.O_RDONLY)
    assert is_opaque(made)
    os.close(made)
    stage.close()


@pytest.mark.parametrize(
    "lines",
    [
        ["file ../x text=1"],
        ["file a/../../x text=1"],
        ["link a -> /tmp", "file a/x text=1"],
        ["link a -> ..", "file a/x text=1"],
        ["link a -> /etc/passwd", "hard b -> a/x"],
        ["hard b -> ../../context/a.tar"],
        ["hard b -> /etc/passwd"],
        ["char x rdev=0:0"],
    ],
)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(
    tmp_path: Path, lines: list[str]
) -> None:
    with pytest.raises(BuildError):
        add(tmp_path, tar(*lines))
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "upper/x").exists()
    assert not Path("/tmp/x").exists()


def test_a_link_over_the_destinations_own_files_is_a_link(tmp_path: Path) -> None:
    parent = ["file d/etc/passwd text=root"]
    found = add(tmp_path, tar("link etc -> /etc"), parent=parent)
    same(tmp_path, found, "dir d", "link d/etc -> /etc")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-2000],
        lambda data: data[: len(data) // 2],
        lambda data: data[:1540] + b"\xff" * 8 + data[1548:],
        lambda data: gzip.compress(data)[:-4],
        lambda data: gzip.compress(data)[:-200],
        lambda data: gzip.compress(data) + b"trailing",
    ],
)
def test_a_damaged_archive_is_an_error(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    data = tar(*(f"file f{number} text={os.urandom(300).hex()}" for number in range(20)))
    with pytest.raises(StepError, match=r"'a\.tar' is damaged"):
        add(tmp_path, spoil(data[:-8000]))


def test_an_archive_that_changes_after_it_was_selected_fails_by_name(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": []})
    (tmp_path / "context/a.tar").write_bytes(tar("file x text=1"))
    op, _ = parse_copy("ADD a.tar /d/")
    selection = stage.select(op)
    (tmp_path / "context/a.tar").write_bytes(tar("file x text=2"))
    with pytest.raises(ContextError, match=r"'a\.tar' changed while it was read"):
        stage.copy(op, selection)
    stage.close()


def test_an_archive_does_not_go_onto_a_file(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot copy to non-directory: /d"):
        add(tmp_path, tar("file x text=1"), "ADD a.tar /d", ["file d text=o"])


def test_a_file_is_told_to_be_an_archive_without_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "big.tar"
    path.write_bytes(tar("file x text=1"))
    os.truncate(path, 1 << 32)
    fd = os.open(path, os.O_RDONLY)
    assert is_archive(fd)
    os.close(fd)
