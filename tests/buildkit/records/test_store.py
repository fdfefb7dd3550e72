import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.cache.key import CacheKey, cache_key
from buildkit.cache.local import LocalCacheStore
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest
from buildkit.records import store as records
from buildkit.records.record import BuildRecord
from buildkit.records.store import RecordStore
from buildkit.state.root import StateRoot
from tests.buildkit.records.samples import build, step


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as opened:
        opened.database()
        yield opened


def ids(found: list[BuildRecord]) -> list[str]:
    return [one.id for one in found]


def test_builds_come_back_newest_first_and_by_what_was_built(root: StateRoot) -> None:
    store = RecordStore(root)
    store.save(build("a", step(1, "RUN make")))
    store.save(build("bb", outcome="failed"))
    store.save(build("ccc", identity="other"))
    assert ids(store.last("app")) == ["bb", "a"]
    assert ids(store.last("app", 1)) == ["bb"]
    assert ids(store.recent()) == ["ccc", "bb", "a"]
    assert store.last("app")[1] == build("a", step(1, "RUN make"))
    assert store.last("nothing") == []


def test_a_build_is_found_by_the_beginning_of_its_id(root: StateRoot) -> None:
    store = RecordStore(root)
    store.save(build("abc"))
    assert store.get("ab") == store.get("abc") == build("abc")
    assert store.get("x%") is None


def test_saving_again_replaces(root: StateRoot) -> None:
    store = RecordStore(root)
    store.save(build("a"))
    store.save(build("a", outcome="failed"))
    assert store.last("app") == [build("a", outcome="failed")]


def test_a_damaged_record_is_passed_over(root: StateRoot) -> None:
    store = RecordStore(root)
    store.save(build("a"))
    store.save(build("bb"))
    root.database().execute("UPDATE build SET record='{' WHERE id='bb'")
    assert ids(store.last("app")) == ["a"]
    assert store.get("bb") is None


def test_only_the_last_builds_of_a_thing_are_kept(
    root: StateRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT", 3)
    store = RecordStore(root)
    for number in range(6):
        store.save(build(f"b{number}", started=float(number)))
        store.save(build(f"other{number}", identity="other", started=float(number)))
    assert ids(store.last("app", 99)) == ["b5", "b4", "b3"]
    assert len(store.recent(99)) == 6


def test_only_so_many_builds_are_kept_altogether(
    root: StateRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT_ALL", 4)
    store = RecordStore(root)
    for number in range(9):
        store.save(build(f"b{number}", identity=str(number), started=float(number)))
    assert ids(store.recent(99)) == ["b8", "b7", "b6", "b5"]


def test_a_dropped_build_takes_its_logs_along_but_not_those_of_cached_results(
    root: StateRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT", 1)
    store = RecordStore(root)
    document = '{"inputs":[]}'
    key = cache_key(document)
    cached = CachedStep(
        key=key,
        document=document,
        parent="",
        diff_id=Digest.of(b"x"),
        fingerprint=None,
        created="2026-01-02T03:04:05Z",
        log="a-1.log",
    )
    LocalCacheStore(root).save(cached, {})
    for name in ("a-1.log", "a-2.log", "b-1.log"):
        Path(store.log_path(name)).write_bytes(b"text")
    ran = [
        step(1, "RUN a", key=key, log="a-1.log"),
        step(2, "RUN b", log="a-2.log", outcome="failed"),
        step(3, "RUN c", log="absent.log"),
    ]
    store.save(build("a", *ran))
    store.save(build("bb", step(1, "RUN a", key=CacheKey("0"), log="b-1.log")))
    assert sorted(path.name for path in Path(root.path("logs")).iterdir()) == ["a-1.log", "b-1.log"]


def test_logs_that_nobody_names_go_after_a_week(root: StateRoot) -> None:
    store = RecordStore(root)
    store.save(build("a", step(1, "RUN a", log="a-1.log")))
    for name in ("a-1.log", "old.log", "new.log"):
        Path(store.log_path(name)).write_bytes(b"text")
    for name in ("a-1.log", "old.log"):
        os.utime(store.log_path(name), (1.0, 1.0))
    assert store.collect_logs() == 1
    assert sorted(path.name for path in Path(root.path("logs")).iterdir()) == ["a-1.log", "new.log"]


WRITER = """
import sys
from buildkit.records.store import RecordStore
from buildkit.state.root import StateRoot
from tests.buildkit.records.samples import build, step
store = RecordStore(StateRoot.open(sys.argv[1]))
for number in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}{number}"
    store.save(build(name, step(1, "RUN " + "x" * 5000), identity=name, started=float(number)))
    print(number, flush=True)
"""


def writer(root: StateRoot, name: str, amount: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, root.top, name, str(amount)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_lose_no_record(root: StateRoot) -> None:
    for process in [writer(root, name, 40) for name in ("a", "b")]:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert len(RecordStore(root).recent(99)) == 80


def test_a_killed_writer_leaves_whole_records_only(root: StateRoot) -> None:
    process = writer(root, "a", 100_000)
    assert process.stdout is not None
    for _ in range(10):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (rows,) = root.database().execute("SELECT count(*) FROM build").fetchone()
    assert rows >= 10
    assert len(RecordStore(root).recent(10_000)) == rows
