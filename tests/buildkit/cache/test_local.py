import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.cache.key import cache_key
from buildkit.cache.local import LocalCacheStore, selections
from buildkit.cache.result import Usage
from buildkit.cache.store import CachedStep
from buildkit.errors import Cancelled, StoreError
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.progress.cancel import Cancel
from buildkit.state.root import StateRoot

LAYER = Digest.of(b"layer")
PARENT = str(Digest.of(b"parent"))
SELECTION = str(Digest.of(b"selection"))
PRINT = Fingerprint("0123456789abcdef")


def step(name: str = "make") -> CachedStep:
    document = f'{{"inputs":["{PARENT}","{SELECTION}"],"op":"{name}","parts":{{}},"version":1}}'
    return CachedStep(
        key=cache_key(document),
        document=document,
        parent=PARENT,
        diff_id=LAYER,
        fingerprint=PRINT,
        created="2026-01-02T03:04:05Z",
        seconds=1.5,
        usage=Usage(cpu=1.25, memory=4096, read=1, written=2),
        log="b-1.log",
    )


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as opened:
        opened.database()
        yield opened


@pytest.fixture
def cache(root: StateRoot) -> LocalCacheStore:
    return LocalCacheStore(root)


def test_what_was_saved_is_found_by_its_key_with_all_that_is_known(cache: LocalCacheStore) -> None:
    cache.save(step(), {SELECTION: b"manifest"})
    assert cache.find(step().key) == step()
    assert cache.document(step().key) == step().document
    assert cache.manifest(SELECTION) == b"manifest"
    assert cache.find(step("other").key) is None
    assert cache.manifest(PARENT) is None


def test_saving_again_replaces(cache: LocalCacheStore) -> None:
    cache.save(step(), {})
    newer = step()._replace(diff_id=Digest.of(b"newer"), fingerprint=None)
    cache.save(newer, {})
    assert cache.find(step().key) == newer


def test_candidates_are_those_of_the_parent_and_fingerprint(cache: LocalCacheStore) -> None:
    other = Digest.of(b"other")
    cache.save(step("a"), {})
    cache.save(step("b")._replace(diff_id=other, created="2026-01-02T03:04:06.5Z"), {})
    cache.save(step("c")._replace(fingerprint=Fingerprint("ff")), {})
    cache.save(step("d")._replace(parent=str(other)), {})
    assert dict(cache.candidates(PARENT, PRINT)) == {
        LAYER: "2026-01-02T03:04:05Z",
        other: "2026-01-02T03:04:06.5Z",
    }


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("document", "{}"),
        ("document", None),
        ("document", b"\xff"),
        ("document", "\u00e4"),
        ("parent", "sha256:short"),
        ("parent", 7),
        ("diff_id", "sha256:../../../etc"),
        ("diff_id", None),
        ("created", "yesterday"),
        ("created", 3),
    ],
)
def test_a_damaged_record_is_no_record_and_can_be_replaced(
    root: StateRoot, cache: LocalCacheStore, column: str, value: object
) -> None:
    cache.save(step(), {})
    root.database().execute(f"UPDATE step SET {column}=?", (value,))
    assert cache.find(step().key) is None
    if column in ("diff_id", "created"):
        assert cache.candidates(PARENT, PRINT) == []
    cache.save(step(), {})
    assert cache.find(step().key) == step()


@pytest.mark.parametrize(
    "value", ["", "[]", '{"log":"../x","seconds":1,"usage":[0,0,0,0]}', None, 1]
)
def test_damage_to_what_only_informs_costs_the_information(
    root: StateRoot, cache: LocalCacheStore, value: object
) -> None:
    cache.save(step(), {})
    root.database().execute("UPDATE step SET record=?, fingerprint='no hex'", (value,))
    found = cache.find(step().key)
    assert found is not None
    assert (found.diff_id, found.log, found.fingerprint) == (LAYER, "", None)


@pytest.mark.parametrize("value", [b"", b"garbage", None, "text"])
def test_a_damaged_manifest_is_no_manifest(
    root: StateRoot, cache: LocalCacheStore, value: object
) -> None:
    cache.save(step(), {SELECTION: b"manifest"})
    root.database().execute("UPDATE selection SET manifest=?", (value,))
    assert cache.manifest(SELECTION) is None


def test_a_garbage_database_is_an_error_with_a_hint(root: StateRoot, tmp_path: Path) -> None:
    root.close()
    for left in Path(root.top).glob("state.db*"):
        left.unlink()
    Path(root.database_path).write_bytes(b"no database at all " * 500)
    with StateRoot.open(root.top) as opened, pytest.raises(StoreError) as caught:
        LocalCacheStore(opened).find(step().key)
    assert "damaged" in caught.value.message
    assert caught.value.hint


def test_pages_turned_to_garbage_give_an_error_or_no_record_but_no_wrong_one(
    root: StateRoot,
) -> None:
    cache = LocalCacheStore(root)
    steps = [step(f"step {number} {'x' * 2000}") for number in range(50)]
    for one in steps:
        cache.save(one, {SELECTION: os.urandom(5000)})
    root.database().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    root.close()
    path = Path(root.database_path)
    data = bytearray(path.read_bytes())
    for start in range(4096 * 8, len(data) - 4096, 4096 * 5):
        data[start : start + 4096] = os.urandom(4096)
    path.write_bytes(data)
    with StateRoot.open(root.top) as opened:
        damaged = LocalCacheStore(opened)
        for one in steps:
            try:
                found = damaged.find(one.key)
            except StoreError:
                continue
            assert found in (None, one)


def test_a_read_only_database_is_an_error_that_names_it(
    root: StateRoot, cache: LocalCacheStore
) -> None:
    root.database().execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError, match=r"state\.db"):
        cache.save(step(), {})


def test_a_use_is_written_once_an_hour(root: StateRoot, cache: LocalCacheStore) -> None:
    cache.save(step(), {})
    database = root.database()
    database.execute("UPDATE step SET used=1.0")
    for _ in range(2):
        changes = database.total_changes
        cache.find(step().key)
        cache.touch([step().key, step("other").key])
    assert database.total_changes == changes
    (used,) = database.execute("SELECT used FROM step").fetchone()
    assert used > 1


def test_a_removed_record_takes_its_log_and_the_manifests_nobody_needs_with_it(
    root: StateRoot, cache: LocalCacheStore
) -> None:
    log = Path(root.path("logs", "b-1.log"))
    log.write_bytes(b"text")
    cache.save(step("a"), {SELECTION: b"1"})
    cache.save(step("b")._replace(log=""), {})
    cache.remove([step("b").key])
    assert cache.manifest(SELECTION) == b"1"
    assert log.exists()
    cache.remove([step("a").key])
    assert cache.find(step("a").key) is None
    assert cache.manifest(SELECTION) is None
    assert not log.exists()


def test_the_listing_of_a_layer_stays_with_its_record(cache: LocalCacheStore) -> None:
    cache.save(step("a"), {str(LAYER): b"listing"})
    cache.remove([])
    assert cache.manifest(LAYER) == b"listing"
    cache.remove([step("a").key])
    assert cache.manifest(LAYER) is None


@pytest.mark.parametrize("document", [None, "", "{}", "[]", '{"inputs":3}', '{"inputs":[1,null]}'])
def test_a_document_without_digests_has_no_selections(document: object) -> None:
    assert selections(document) == frozenset()


def test_two_claims_of_a_key_exclude_each_other_and_other_keys_are_free(
    cache: LocalCacheStore,
) -> None:
    with Cancel() as cancel, cache.claim(step().key, cancel):
        with cache.claim(step("other").key, cancel):
            pass
        cancel.set()
        with pytest.raises(Cancelled), cache.claim(step().key, cancel):
            pass
    with Cancel() as cancel, cache.claim(step().key, cancel):
        pass


HOLDER = """
import sys
from buildkit.cache.local import LocalCacheStore
from buildkit.progress.cancel import Cancel
from buildkit.state.root import StateRoot
from tests.buildkit.cache.test_local import step
cache = LocalCacheStore(StateRoot.open(sys.argv[1]))
with cache.claim(step().key, Cancel()):
    print("found" if cache.find(step().key) else "first", flush=True)
    sys.stdin.readline()
    if cache.find(step().key) is None:
        cache.save(step(), {})
"""


def holder(root: StateRoot) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, root.top],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: "subprocess.Popen[str]") -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def test_another_process_waits_for_a_claim_and_then_finds_the_result(
    root: StateRoot, cache: LocalCacheStore
) -> None:
    one = holder(root)
    assert first_line(one) == "first"
    other = holder(root)
    let_go(one)
    assert first_line(other) == "found"
    let_go(other)
    assert cache.find(step().key) == step()


def test_a_claim_ends_when_its_holder_is_killed(root: StateRoot, cache: LocalCacheStore) -> None:
    one = holder(root)
    assert first_line(one) == "first"
    one.send_signal(signal.SIGKILL)
    one.communicate()
    with Cancel() as cancel, cache.claim(step().key, cancel):
        pass
    assert cache.find(step().key) is None


WRITER = """
import os, sys
from buildkit.cache.local import LocalCacheStore
from buildkit.state.root import StateRoot
from tests.buildkit.cache.test_local import SELECTION, step
cache = LocalCacheStore(StateRoot.open(sys.argv[1]))
for number in range(int(sys.argv[2])):
    cache.save(step(f"{sys.argv[3]} {number}"), {SELECTION: os.urandom(20000)})
    print(number, flush=True)
"""


def writer(root: StateRoot, amount: int, name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, root.top, str(amount), name],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_that_write_at_once_lose_nothing(
    root: StateRoot, cache: LocalCacheStore
) -> None:
    processes = [writer(root, 50, name) for name in ("a", "b")]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert all(cache.find(step(f"{name} {number}").key) for name in "ab" for number in range(50))


@pytest.mark.parametrize("after", [1, 7, 30])
def test_a_writer_killed_in_between_leaves_every_record_that_it_reported(
    root: StateRoot, cache: LocalCacheStore, after: int
) -> None:
    process = writer(root, 100_000, "a")
    for number in range(after):
        assert first_line(process) == str(number)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert all(cache.find(step(f"a {number}").key) for number in range(after))
    assert root.database().execute("PRAGMA integrity_check").fetchone() == ("ok",)
    cache.save(step("b"), {})
    assert cache.find(step("b").key) == step("b")


def test_sqlite_is_new_enough_for_wal() -> None:
    assert sqlite3.sqlite_version_info >= (3, 31)
