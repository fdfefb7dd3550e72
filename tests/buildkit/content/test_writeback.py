"""Files that are synced while they are written."""

import errno
import os
import threading
from pathlib import Path

import pytest

from buildkit.content.writeback import SyncedFile

BLOCK = bytes(range(256)) * 4096


def test_what_was_written_is_there_and_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    with (tmp_path / "file").open("xb") as opened:
        file = SyncedFile(opened.fileno())
        for _ in range(70):
            file.write(BLOCK)
        file.finish()
        assert threading.active_count() == before
        file.stop()
    assert (tmp_path / "file").read_bytes() == BLOCK * 70


def test_a_small_file_starts_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with (tmp_path / "file").open("xb") as opened:
        file = SyncedFile(opened.fileno())
        file.write(BLOCK)
        assert threading.active_count() == before
        file.finish()


def test_what_cannot_be_synced_is_an_error() -> None:
    """A pipe takes bytes and cannot be synced."""
    read, write = os.pipe()
    drain = threading.Thread(target=lambda: _drained(read))
    drain.start()
    file = SyncedFile(write)
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        for _ in range(70):
            file.write(BLOCK)
        file.finish()
    file.stop()
    os.close(write)
    drain.join()
    os.close(read)


def test_what_could_not_be_synced_is_an_error_of_a_file_that_others_sync() -> None:
    read, write = os.pipe()
    drain = threading.Thread(target=lambda: _drained(read))
    drain.start()
    before = threading.active_count()
    file = SyncedFile(write)
    for _ in range(32):
        file.write(BLOCK)
    while threading.active_count() > before:
        pass  # until the sync has failed
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        file.settle()
    os.close(write)
    drain.join()
    os.close(read)


def _drained(fd: int) -> None:
    while os.read(fd, 1 << 20):
        pass
