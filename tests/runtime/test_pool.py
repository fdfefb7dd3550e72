"""The locks by which processes share a bridge."""

import fcntl
import os
from pathlib import Path

import pytest

from runtime import pool
from runtime.pool import Pool


def test_a_descriptor_that_a_child_has_inherited_does_not_keep_the_lock(tmp_path: Path) -> None:
    shared = Pool(str(tmp_path / "network"))
    with shared.locked():
        names = os.listdir("/proc/self/fd")
        (own,) = [fd for fd in names if _leads_to(fd, f"{shared.directory}/setup")]
        held = os.dup(int(own))
    try:
        os.close(shared.lock("setup", fcntl.LOCK_EX | fcntl.LOCK_NB))
    finally:
        os.close(held)


def _leads_to(fd: str, path: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == path
    except FileNotFoundError:  # what the listing itself had open
        return False


def test_a_lock_that_is_never_given_back_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_PATIENCE", 0.03)
    shared = Pool(str(tmp_path))
    stopped = pytest.raises(TimeoutError, match="is it stopped")
    with shared.locked(), stopped as raised, shared.locked():
        pass
    assert raised.value.filename == f"{tmp_path}/setup"


def test_addresses_are_taken_once_and_given_back(tmp_path: Path) -> None:
    shared = Pool(str(tmp_path))
    first, lock = shared.take("10.9.8")
    second, other = shared.take("10.9.8")
    assert (first, second) == ("10.9.8.2", "10.9.8.3")
    assert sorted(shared.in_use()) == [first, second]
    os.close(lock)
    assert shared.in_use() == [second]
    os.close(other)
