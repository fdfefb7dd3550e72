"""What is said of a database that cannot be used."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildkit.errors import StoreError
from buildkit.state import database


@contextmanager
def descriptors(number: int) -> Iterator[None]:
    """Let `number` more files be opened, and no more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # All below the limit are taken, so that there are no gaps.
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(64)]
    for fd in taken[len(taken) - number :]:
        os.close(fd)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken[: len(taken) - number]:
            os.close(fd)


@pytest.mark.parametrize("number", [0, 1])
def test_the_limit_of_open_files_is_told_as_the_cause(tmp_path: Path, number: int) -> None:
    path = str(tmp_path / "state.db")
    database.connect(path).close()
    with descriptors(number), pytest.raises(StoreError) as told:
        database.connect(path)
    assert str(told.value) == f"{path}: too many open files"
    assert told.value.hint == "raise the limit of open files (ulimit -n)"


def test_a_database_that_cannot_be_opened_otherwise_asks_for_the_users_rights(
    tmp_path: Path,
) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError) as told:
        database.connect(str(tmp_path / "state.db"))
    assert str(told.value).endswith("state.db: unable to open database file")
    assert told.value.hint.startswith("is the state root writable by this user?")
