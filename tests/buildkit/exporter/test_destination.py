"""Output files appear when they are whole."""

import os
from pathlib import Path

import pytest

from buildkit.errors import UsageError
from buildkit.exporter.destination import OutputError, output_directory, output_file, write_result


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    dest = tmp_path / "out.tar"
    with output_file(str(dest)) as sink:
        sink(b"hello ")
        assert not dest.exists()
        sink(b"world")
        assert sink.rewrite is not None
        sink.rewrite(0, b"J")
    assert dest.read_bytes() == b"Jello world"
    assert os.listdir(tmp_path) == ["out.tar"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    dest = tmp_path / "out.tar"
    dest.write_bytes(b"old")
    with pytest.raises(RuntimeError), output_file(str(dest)) as sink:
        sink(b"new")
        raise RuntimeError
    assert dest.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.tar"]


def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        with output_file(str(tmp_path / "a")) as sink:
            sink(b"x")
    finally:
        os.umask(previous)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_in_place() -> None:
    with output_file("/dev/null") as sink:
        sink(b"x")
        assert sink.rewrite is None
    assert not Path("/dev/null").is_file()


def test_a_file_called_by_a_descriptor_keeps_its_names(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        with output_file(f"/dev/fd/{file.fileno()}") as sink:
            sink(b"x")
        write_result(f"/proc/self/fd/{file.fileno()}", "y")
    assert (tmp_path / "out").read_bytes() == b"y"
    assert os.listdir(tmp_path) == ["out"]


def test_a_result_has_no_end_of_line_and_no_special_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_result("-", "sha256:0")
    assert (tmp_path / "-").read_bytes() == b"sha256:0"
    with pytest.raises(OutputError, match="no such file or directory"):
        write_result("none/there", "x")


def test_a_full_device_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="no space left"), output_file("/dev/full") as sink:
        sink(b"x")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"), output_file(str(tmp_path)):
        pass


def test_a_missing_directory_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such file"), output_file(str(tmp_path / "no/a")):
        pass


def test_a_directory_appears_when_it_is_whole(tmp_path: Path) -> None:
    dest = tmp_path / "deep/out"
    with output_directory(str(dest)) as directory:
        (Path(directory) / "a").write_text("x")
        assert not dest.exists()
    assert (dest / "a").read_text() == "x"


def test_a_directory_that_failed_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output_directory(str(tmp_path / "out")) as directory:
        (Path(directory) / "a").write_text("x")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_what_is_there_is_not_replaced_by_a_directory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_text("x")
    with (
        pytest.raises(OutputError, match="exists already"),
        output_directory(str(tmp_path / "out")),
    ):
        pass
