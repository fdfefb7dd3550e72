import os
import time
from pathlib import Path

import pytest

from buildkit.errors import Cancelled, ContextError
from buildkit.progress.cancel import Cancel
from buildkit.repro.apart import ApartError, apart
from buildkit.repro.conditions import WHAT, conditions_of
from buildkit.repro.context_copy import copy_context
from tests.trees import make_tree, read_tree


def test_each_condition_varies_something_and_none_varies_nothing() -> None:
    assert conditions_of(frozenset()) == ({}, None, None, None)
    found = conditions_of(frozenset(WHAT))
    assert None not in found
    assert {"TZ", "LC_ALL", "HOME", "USER"} <= set(found.environment)
    now = os.umask(0o022)
    os.umask(now)
    assert found.umask != now


def test_a_copy_of_a_context_has_the_same_files_and_new_times(tmp_path: Path) -> None:
    source = make_tree(
        tmp_path / "source",
        "dir a 0755 mtime=1000",
        "file a/run 0755 text=x mtime=1000",
        "link a/link -> run",
        "file hidden/secret 0644 text=s",
        "file z 0640 text=z mtime=1000",
    )
    (source / ".dockerignore").write_text("hidden\n")
    began = time.time() - 1
    copy_context(str(source), str(tmp_path / "new"), None, backwards=True, times=True, modes=False)
    copy_context(str(source), str(tmp_path / "old"), None, backwards=False, times=False, modes=True)
    wanted = [line for line in read_tree(source) if " hidden" not in line]
    assert read_tree(tmp_path / "new") == wanted
    assert (tmp_path / "new/z").stat().st_mtime >= began
    assert (tmp_path / "old/z").stat().st_mtime == 1000
    assert (tmp_path / "old/z").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_read_of_a_context_is_named(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source", "file a text=a")
    (tmp_path / "new/a").mkdir(parents=True)
    with pytest.raises((ContextError, FileExistsError)):
        copy_context(
            str(source), str(tmp_path / "new"), None, backwards=True, times=True, modes=False
        )


def fails() -> bytes:
    raise ValueError


def test_what_is_done_apart_gives_bytes_or_a_status() -> None:
    with Cancel() as cancel:
        assert apart(lambda: str(os.getpid()).encode(), lambda _: 1, cancel) != os.getpid()
        with pytest.raises(ApartError) as raised:
            apart(fails, lambda error: 7 if isinstance(error, ValueError) else 1, cancel)
        assert raised.value.status == 7


def test_a_wish_to_stop_reaches_what_is_done_apart() -> None:
    def sleeps() -> bytes:
        time.sleep(60)
        return b""

    with Cancel() as cancel:
        cancel.set(15)
        with pytest.raises(Cancelled):
            apart(sleeps, lambda _: 1, cancel)
