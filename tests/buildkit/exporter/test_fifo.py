"""Nobody who reads a pipe, or nobody who goes on reading: a wish to stop ends the wait."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.errors import Cancelled
from buildkit.exporter.destination import output_file
from buildkit.exporter.fifo import open_fifo, patient, reopened
from buildkit.progress.cancel import Cancel

LARGE = bytes(1 << 21)
"""More than a pipe holds (pipe(7), "Pipe capacity")."""


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    return path


def _ends_when_set(work: Callable[[Cancel], object]) -> None:
    with Cancel() as cancel:
        timer = threading.Timer(0.1, cancel.set, (15,))
        timer.start()
        with pytest.raises(Cancelled) as caught:
            work(cancel)
        timer.join()
    assert caught.value.signal == 15


def test_the_wait_for_a_reader_ends(fifo: str) -> None:
    def write(cancel: Cancel) -> None:
        with output_file(fifo, cancel):
            pytest.fail("nobody reads it")

    _ends_when_set(write)
    _ends_when_set(lambda cancel: open_fifo(fifo, cancel))


def test_the_wait_for_one_who_reads_no_further_ends(fifo: str) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def write(cancel: Cancel) -> None:
        with output_file(fifo, cancel) as sink:
            sink(LARGE)

    _ends_when_set(write)
    os.close(reader)


def test_a_pipe_is_opened_again_and_what_others_have_of_it_blocks_as_before() -> None:
    reader, writer = os.pipe()
    own = reopened(writer)
    assert own is not None
    assert (os.get_blocking(own), os.get_blocking(writer)) == (False, True)
    _ends_when_set(lambda cancel: patient(own, cancel)(LARGE))
    for fd in (reader, writer, own):
        os.close(fd)


def test_what_is_no_pipe_is_not_opened_again(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert reopened(file.fileno()) is None


def test_a_reader_gets_everything_and_one_who_leaves_is_noticed(fifo: str) -> None:
    got: list[int] = []

    def read() -> None:
        with open(fifo, "rb") as file:
            got.append(len(file.read()))

    thread = threading.Thread(target=read)
    thread.start()
    with Cancel() as cancel, output_file(fifo, cancel) as sink:
        sink(LARGE)
    thread.join()
    assert got == [len(LARGE)]

    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Cancel() as cancel, pytest.raises(BrokenPipeError), output_file(fifo, cancel) as sink:
        os.close(reader)
        sink(b"x")
