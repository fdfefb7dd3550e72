"""What is remembered of a context: unchanged files are not read again, changed ones always are."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.context.local import LocalContext
from buildkit.llb.op import CopyOp, CopySource
from buildkit.ops.select import select
from tests.trees import make_tree

_OLD = 1_700_000_000


def copy_op(source: str = ".") -> CopyOp:
    return CopyOp(
        sources=(CopySource(1, source),),
        dest="/d/",
        chown="",
        chmod="",
        exclude=(),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=False,
    )


def digest(tmp: Path, source: str = ".", *, later: bool = True) -> str:
    """Select `source` as a build would; `later`: after the files' times have settled."""
    context = LocalContext.open(str(tmp / "context"), memory_folder=str(tmp / "memory"))
    if later:
        context.tree.memory._began = time.time_ns() + 10**10  # type: ignore[attr-defined]
    found = select(copy_op(source), {1: context.tree}).digests[1]
    context.close()
    return found


class Reads:
    """Counts the files that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        real = os.open

        def spy(path: str, flags: int, *args: int, **kwargs: int) -> int:
            if not flags & os.O_DIRECTORY and "dir_fd" in kwargs:
                self.names.append(path)
            return real(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", spy)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    make_tree(tmp_path / "context", "file a text=1", "file sub/b text=2", "link l -> a")
    (tmp_path / "memory").mkdir()
    return tmp_path


def test_an_unchanged_file_is_read_once(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(context)
    reads = Reads(monkeypatch)
    assert digest(context) == first
    assert reads.names == []


def test_only_the_changed_file_is_read_again(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest(context)
    (context / "context/sub/b").write_text("3")
    reads = Reads(monkeypatch)
    assert digest(context) != first
    assert reads.names == ["b"]


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "a").write_text("2"),
        lambda top: (top / "a").chmod(0o600),
        lambda top: (top / "new").touch(),
        lambda top: (top / "a").unlink(),
        lambda top: (top / "sub").chmod(0o700),
        lambda top: (top / "sub").rename(top / "sub2"),
        lambda top: (top / "l").unlink() or (top / "l").symlink_to("b"),
        lambda top: os.setxattr(top / "a", "user.x", b"1"),
        lambda top: os.setxattr(top / "sub", "user.x", b"1"),
        lambda top: (top / "a").unlink() or (top / "a").mkdir(),
        lambda top: os.link(top / "a", top / "sub/a"),
    ],
)
def test_every_change_that_a_copy_sees_changes_the_digest(context: Path, change: object) -> None:
    first = digest(context)
    assert callable(change)
    change(context / "context")
    assert digest(context) != first


def test_a_new_time_alone_changes_nothing(context: Path) -> None:
    first = digest(context)
    os.utime(context / "context/a", (_OLD, _OLD))
    assert digest(context) == first


def test_a_file_of_the_same_size_and_time_is_found_out_by_its_change_time(context: Path) -> None:
    path = context / "context/a"
    os.utime(path, (_OLD, _OLD))
    first = digest(context)
    path.write_text("7")
    os.utime(path, (_OLD, _OLD))
    assert digest(context) != first


def test_a_racy_file_is_not_remembered(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (context / "context/a").write_text("now")
    digest(context, later=False)
    reads = Reads(monkeypatch)
    digest(context, later=False)
    assert "a" in reads.names


def test_where_change_times_say_nothing_all_is_read(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = (context / "context").stat().st_dev
    for _ in range(2):
        opened = LocalContext.open(str(context / "context"), memory_folder=str(context / "memory"))
        memory = opened.tree.memory
        memory._began = time.time_ns() + 10**10  # type: ignore[attr-defined]
        memory._without = frozenset({device})  # type: ignore[attr-defined]
        reads = Reads(monkeypatch)
        select(copy_op(), {1: opened.tree})
        opened.close()
        assert reads.names == ["a", "b"]


def test_another_file_system_at_the_same_place_is_not_known(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when two images with equal times and inodes are mounted there one after the other.
    digest(context)
    real = os.fstatvfs
    monkeypatch.setattr(os, "fstatvfs", lambda fd: _Mounted(real(fd).f_fsid + 1))
    reads = Reads(monkeypatch)
    digest(context)
    assert reads.names == ["a", "b"]


class _Mounted(NamedTuple):
    f_fsid: int


def test_a_file_that_is_another_one_when_it_is_read_is_not_remembered(context: Path) -> None:
    path = context / "context/a"
    opened = LocalContext.open(str(context / "context"), memory_folder=str(context / "memory"))
    opened.tree.memory._began = time.time_ns() + 10**10  # type: ignore[attr-defined]
    rows = {row[0]: row for row in opened.tree.directory("").rows}
    (context / "b").write_text("2")
    os.rename(context / "b", path)
    selection = select(copy_op(), {1: opened.tree})
    assert b"".join(sorted(selection.manifest(1).split(b"\n"))).count(b"d4735e3a265e16ee") == 2
    opened.close()
    again = LocalContext.open(str(context / "context"), memory_folder=str(context / "memory"))
    assert rows["a"] not in [known[0] for known in again.tree.memory.recall("").values()]
    assert again.tree.memory._noted == {}  # type: ignore[attr-defined]
    again.close()


@pytest.mark.parametrize("cut", [0, 10, 40, 200, -1])
def test_a_damaged_memory_is_an_empty_one(context: Path, cut: int) -> None:
    first = digest(context)
    (path,) = (context / "memory").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    assert digest(context) == first
    flipped = bytes(255 - byte if number % 7 == 3 else byte for number, byte in enumerate(data))
    path.write_bytes(flipped)
    assert digest(context) == first


def test_a_damaged_record_is_read_from_the_files_instead(context: Path) -> None:
    first = digest(context)
    (path,) = (context / "memory").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-8] + bytes(8))
    (context / "context/new").touch()
    (context / "context/new").unlink()
    assert digest(context) == first


def test_nothing_is_written_when_nothing_is_new(context: Path) -> None:
    digest(context)
    (path,) = (context / "memory").iterdir()
    inode = path.stat().st_ino
    digest(context)
    assert path.stat().st_ino == inode


def test_what_is_gone_is_forgotten(context: Path) -> None:
    digest(context)
    (path,) = (context / "memory").iterdir()
    size = path.stat().st_size
    make_tree(context / "context", *(f"file gone/{number}/x text=1" for number in range(20)))
    digest(context)
    assert path.stat().st_size > size + 1000
    for number in range(20):
        (context / f"context/gone/{number}/x").unlink()
        (context / f"context/gone/{number}").rmdir()
    (context / "context/gone").rmdir()
    digest(context)
    assert path.stat().st_size < size + 1000


def test_what_a_killed_process_of_the_same_number_left_is_in_nobodys_way(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest(context)
    (path,) = (context / "memory").iterdir()
    path.rename(path.with_name(f"{path.name}.{os.getpid()}.tmp"))
    first = digest(context)
    reads = Reads(monkeypatch)
    assert digest(context) == first
    assert reads.names == []


def test_a_memory_that_cannot_be_written_is_no_error(context: Path) -> None:
    (context / "memory").rmdir()
    digest(context)


def test_a_memory_that_is_cleared_away_while_it_is_written_is_no_error(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cleared(aside: str, _path: str) -> None:
        os.unlink(aside)
        raise FileNotFoundError

    monkeypatch.setattr(os, "rename", cleared)
    digest(context)
    assert os.listdir(context / "memory") == []


def test_a_memory_that_cannot_be_read_is_an_empty_one(context: Path) -> None:
    first = digest(context)
    (path,) = (context / "memory").iterdir()
    path.unlink()
    path.mkdir()
    assert digest(context) == first
    assert path.is_dir()


def test_different_selections_have_digests_of_their_own(context: Path) -> None:
    whole, part = digest(context), digest(context, "sub")
    assert whole != part
    assert (digest(context), digest(context, "sub")) == (whole, part)
    (context / "context/a").write_text("9")
    assert digest(context) != whole
    assert digest(context, "sub") == part


def test_saving_twice_keeps_what_was_saved_first(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LocalContext.open(str(context / "context"), memory_folder=str(context / "memory"))
    first.tree.memory._began = time.time_ns() + 10**10  # type: ignore[attr-defined]
    select(copy_op("a"), {1: first.tree})
    first.tree.save()
    select(copy_op("sub"), {1: first.tree})
    first.close()
    reads = Reads(monkeypatch)
    digest(context)
    assert reads.names == []
