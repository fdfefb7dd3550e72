"""The final file system in a directory, and as a tar."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildkit.exporter.destination import OutputError
from buildkit.exporter.local import export_local
from buildkit.exporter.tar import export_tar


def _tree(top: Path) -> Path:
    (top / "etc/deep/er").mkdir(parents=True)
    (top / "etc/motd").write_text("hello")
    (top / "etc/motd").chmod(0o640)
    os.utime(top / "etc/motd", (1000, 1000))
    (top / "etc/link").symlink_to("/etc/motd")
    os.link(top / "etc/motd", top / "etc/deep/same")
    os.mkfifo(top / "pipe")
    (top / "tmp").mkdir()
    (top / "tmp").chmod(0o1777)
    os.utime(top / "etc/deep", (2000, 2000))
    return top


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def _export(source: Path, dest: Path) -> list[str]:
    warnings: list[str] = []
    with _opened(source) as fd:
        export_local(fd, str(dest), warnings.append)
    return warnings


def test_a_directory_gets_files_links_modes_and_times(tmp_path: Path) -> None:
    dest = tmp_path / "out"
    assert _export(_tree(tmp_path / "tree"), dest) == []

    assert (dest / "etc/motd").read_text() == "hello"
    assert stat.S_IMODE((dest / "etc/motd").stat().st_mode) == 0o640
    assert (dest / "etc/motd").stat().st_mtime == 1000
    assert os.readlink(dest / "etc/link") == "/etc/motd"
    assert (dest / "etc/motd").stat().st_ino == (dest / "etc/deep/same").stat().st_ino
    assert stat.S_ISFIFO((dest / "pipe").stat().st_mode)
    assert stat.S_IMODE((dest / "tmp").stat().st_mode) == 0o1777
    assert (dest / "etc/deep").stat().st_mtime == 2000


def test_what_is_there_stays_unless_the_image_has_it_too(tmp_path: Path) -> None:
    dest = tmp_path / "out"
    (dest / "etc").mkdir(parents=True)
    (dest / "etc/own").write_text("mine")
    (dest / "etc/motd").write_text("old")
    (dest / "pipe/full").mkdir(parents=True)

    for _ in range(2):
        _export(
            _tree(tmp_path / "tree") if not (tmp_path / "tree").exists() else tmp_path / "tree",
            dest,
        )

    assert (dest / "etc/own").read_text() == "mine"
    assert (dest / "etc/motd").read_text() == "hello"
    assert stat.S_ISFIFO((dest / "pipe").stat().st_mode)
    assert not [name for name in os.listdir(dest / "etc") if name.startswith(".pybuild")]


def test_a_link_in_the_directory_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    dest = tmp_path / "out"
    dest.mkdir()
    (dest / "etc").symlink_to(outside)

    _export(_tree(tmp_path / "tree"), dest)

    assert os.listdir(outside) == []
    assert (dest / "etc").is_dir()
    assert not (dest / "etc").is_symlink()


def test_a_file_where_the_directory_should_be_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="exists already"):
        _export(_tree(tmp_path / "tree"), tmp_path / "out")


def test_nothing_gives_an_empty_directory(tmp_path: Path) -> None:
    export_local(None, str(tmp_path / "out"), lambda _: None)
    assert os.listdir(tmp_path / "out") == []


def test_a_tar_has_the_whole_tree(tmp_path: Path) -> None:
    out: list[bytes] = []
    with _opened(_tree(tmp_path / "tree")) as fd:
        export_tar(fd, out.append)
    with tarfile.open(fileobj=io.BytesIO(b"".join(out))) as tar:
        names = {member.name: member for member in tar.getmembers()}
    assert set(names) == {
        *("etc", "etc/deep", "etc/deep/er", "etc/deep/same", "etc/link", "etc/motd", "pipe", "tmp"),
    }
    assert names["etc/motd"].islnk()
    assert names["etc/deep/same"].mode == 0o640


def test_an_empty_tar_is_a_tar() -> None:
    out: list[bytes] = []
    export_tar(None, out.append)
    with tarfile.open(fileobj=io.BytesIO(b"".join(out))) as tar:
        assert tar.getmembers() == []
