"""Secrets: where they come from, and what tells their values apart."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import UsageError
from buildkit.ops.secrets import LIMIT, SecretSource, kept, mark, read
from buildkit.state.root import StateRoot


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    root = StateRoot.open(str(tmp_path / "root"))
    yield root
    root.close()


def test_a_secret_is_read_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_bytes(b"one\n")
    monkeypatch.setenv("TOKEN", "two")
    assert read("x", SecretSource(str(tmp_path / "token"), "")) == b"one\n"
    assert read("x", SecretSource("", "TOKEN")) == b"two"


def test_a_secret_that_is_not_there_or_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * (LIMIT + 1))
    for source in (SecretSource("", "NO_SUCH_VARIABLE"), SecretSource(str(tmp_path / "none"), "")):
        with pytest.raises(UsageError, match="secret x"):
            read("x", source)
    with pytest.raises(UsageError, match="larger than 500 KiB"):
        read("x", SecretSource(str(tmp_path / "long"), ""))


def test_a_mark_tells_values_and_names_apart(root: StateRoot) -> None:
    marks = [mark(root, "a", b"1"), mark(root, "a", b"2"), mark(root, "b", b"1")]
    assert len(set(marks)) == 3
    assert mark(root, "a", b"1") == marks[0]
    assert mark(root, "a b", b"c") != mark(root, "a", b"b c")


def test_a_mark_says_nothing_to_another_store(root: StateRoot, tmp_path: Path) -> None:
    other = StateRoot.open(str(tmp_path / "other"))
    assert mark(root, "a", b"1") != mark(other, "a", b"1")
    other.close()


def test_a_pipe_is_read_once_and_its_value_as_often_as_it_is_wanted() -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as pipe:
        pipe.write("value")
    path = kept("s", f"/dev/fd/{reading}")
    os.close(reading)
    for _ in range(2):
        assert read("s", SecretSource(path, "")) == b"value"


def test_a_file_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").touch()
    assert kept("s", "s") == str(tmp_path / "s")


@pytest.mark.parametrize(("path", "reason"), [("/none", "no such file"), ("/", "is a directory")])
def test_what_gives_no_secret_is_told(path: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"secret s: {path}: {reason}"):
        kept("s", path)
