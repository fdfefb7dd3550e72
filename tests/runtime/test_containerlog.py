"""Logs of containers: what was written is read again, in order, whatever was rotated."""

import re
from pathlib import Path

import pytest

from runtime.container import Logging
from runtime.containerlog import Reader, Writer


def written(directory: Path, *pieces: tuple[int, bytes], logging: Logging | None = None) -> Writer:
    writer = Writer(str(directory), logging or Logging())
    for stream, data in pieces:
        writer.write(stream, data)
    return writer


def texts(directory: Path, stream: int = 1) -> bytes:
    entries = Reader(str(directory)).entries()
    return b"".join(entry.text for entry in entries if entry.stream == stream)


@pytest.mark.parametrize(
    "data",
    [
        b"a line\n",
        b"two\nlines\n",
        b"no end",
        b"\n\n",
        b"",
        b"x" * 100_000,
        b"\0\xff\n",
        b"a\rb\r\n",
    ],
)
def test_output_is_kept_byte_for_byte(tmp_path: Path, data: bytes) -> None:
    written(tmp_path, (1, data), (2, b"other\n"))
    assert texts(tmp_path) == data
    assert texts(tmp_path, 2) == b"other\n"


def test_lines_have_times_and_streams_in_the_manner_of_cri(tmp_path: Path) -> None:
    written(tmp_path, (1, b"one\nprompt> "), (2, b"oh\n"))
    lines = (tmp_path / "log").read_text().splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert re.fullmatch(f"{moment} stdout F one", lines[0])
    assert re.fullmatch(f"{moment} stdout P prompt> ", lines[1])
    assert re.fullmatch(f"{moment} stderr F oh", lines[2])


def test_the_oldest_goes_when_there_is_too_much(tmp_path: Path) -> None:
    logging = Logging(size=4096, files=3)
    writer = written(tmp_path, logging=logging)
    for number in range(1000):
        writer.write(1, b"line %d\n" % number)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 3
    assert max(sizes) <= 4096
    kept = texts(tmp_path).split(b"\n")
    assert kept[-2] == b"line 999"
    first = int(kept[0].split()[1])
    assert kept[:-1] == [b"line %d" % number for number in range(first, 1000)]


def test_what_is_read_at_once_is_cut_where_a_file_is_full(tmp_path: Path) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(1000))
    longest = b"x" * 9000 + b"\n"
    writer = written(tmp_path, (1, b"first\n"), logging=Logging(size=4096, files=100))
    reader = Reader(str(tmp_path))
    assert [entry.text for entry in reader.entries()] == [b"first\n"]
    for data in (lines, longest, lines):
        writer.write(1, data)
    sizes = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert sizes[-2] <= 4096 < 9000 < sizes[-1] < 9050  # but for one line that is longer
    assert texts(tmp_path) == b"first\n" + lines + longest + lines
    assert b"".join(entry.text for entry in reader.entries()) == lines + longest + lines


def test_a_reader_follows_over_a_rotation(tmp_path: Path) -> None:
    writer = written(tmp_path, (1, b"before\n"), logging=Logging(size=200, files=2))
    reader = Reader(str(tmp_path))
    assert [entry.text for entry in reader.entries()] == [b"before\n"]
    for number in range(4):
        writer.write(1, b"%d\n" % number)
    assert [entry.text for entry in reader.entries()] == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert list(reader.entries()) == []


def test_nothing_is_kept_without_files(tmp_path: Path) -> None:
    written(tmp_path, (1, b"x\n"), logging=Logging(files=0))
    assert list(tmp_path.iterdir()) == []
    assert list(Reader(str(tmp_path)).entries()) == []


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    written(tmp_path, (1, b"whole\n"))
    with open(tmp_path / "log", "ab") as file:
        file.write(b"2024-01-0\n2024-01-01T00:00:00Z std")
    assert texts(tmp_path) == b"whole\n"


def test_a_disk_that_takes_nothing_ends_nobody(tmp_path: Path) -> None:
    writer = written(tmp_path / "gone", (1, b"x\n"))
    assert "no such file" in writer.failure
