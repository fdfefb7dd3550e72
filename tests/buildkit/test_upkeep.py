import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import UsageError
from buildkit.oci.digest import Digest
from buildkit.state.root import StateRoot
from buildkit.upkeep import DAY, Limits, after_build, excess, limits_of, usual_limits

USUAL = usual_limits(1000 * 10**9)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path / "root")) as root:
        assert after_build(root, grown=True) == ()
        yield root


def add(root: StateRoot, name: str, size: int, used: float) -> str:
    """Add a layer and the step that made it."""
    diff_id = Digest.of(name.encode())
    os.makedirs(root.path("layers", diff_id.hex, "fs"))
    values = (diff_id, size, 1, "", "", "packed", root.boot_id, 1, used)
    marks = ",".join("?" * len(values))
    root.database().execute(f"INSERT INTO layer VALUES({marks})", values)
    root.database().execute(
        "INSERT INTO step VALUES(?, '{}', '', ?, '', '', '{}', ?)", (diff_id.hex, diff_id, used)
    )
    return diff_id.hex


def layers(root: StateRoot) -> set[str]:
    return set(os.listdir(root.path("layers")))


def old(root: StateRoot) -> None:
    """Make the last daily collection a long time ago."""
    os.utime(root.path("locks", "upkeep.lock"), (0, 0))


def test_a_large_disk_has_large_limits() -> None:
    assert Limits(600 * 10**9, 100 * 10**9, 10 * 10**9) == USUAL
    assert usual_limits(20 * 10**9).reserved == 2 * 10**9


def test_limits_are_named() -> None:
    assert limits_of("", USUAL) == USUAL
    assert limits_of("off", USUAL) is None
    assert limits_of("max-used=1g,keep=2d", USUAL) == USUAL._replace(max_used=1 << 30, keep=2 * DAY)


@pytest.mark.parametrize("text", ["on", "max-used", "keep=soon", "max-used=1g,what=2"])
def test_limits_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="PYBUILD_GC"):
        limits_of(text, USUAL)


def test_there_is_too_much_when_the_store_or_the_disk_is_full(root: StateRoot) -> None:
    add(root, "a", 100, time.time())
    limits = Limits(max_used=1000, min_free=50, reserved=0)
    assert excess(root, limits, free=60) <= 0
    assert excess(root, limits._replace(max_used=70), free=60) == 30
    assert excess(root, limits, free=10) == 40
    assert excess(root, limits._replace(reserved=95), free=10) == 5
    assert excess(root, limits._replace(reserved=100), free=10) == 0


def test_the_longest_unused_goes_when_the_store_is_too_large(
    root: StateRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    add(root, "oldest", 100, now - 300)
    older, newest = add(root, "older", 100, now - 200), add(root, "newest", 100, now - 100)
    monkeypatch.setenv("PYBUILD_GC", "max-used=250,min-free=0,reserved=0")
    assert after_build(root, grown=False) == ()
    assert len(layers(root)) == 3
    after_build(root, grown=True)
    assert layers(root) == {older, newest}


def test_what_is_old_goes_once_a_day(root: StateRoot) -> None:
    add(root, "old", 100, time.time() - 61 * DAY)
    new = add(root, "new", 100, time.time() - 59 * DAY)
    assert after_build(root, grown=True) == ()
    old(root)
    (pruned,) = after_build(root, grown=False)
    assert pruned.steps == 1
    assert layers(root) == {new}
    assert after_build(root, grown=False) == ()


def test_what_is_in_use_stays(root: StateRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    used = add(root, "used", 100, time.time() - 100 * DAY)
    monkeypatch.setenv("PYBUILD_GC", "max-used=0,min-free=0,reserved=0")
    with StateRoot.open(root.top) as other:
        other.use("layer", f"sha256:{used}")
        old(root)
        after_build(root, grown=True)
    assert layers(root) == {used}


def test_it_can_be_turned_off(root: StateRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = add(root, "old", 100, 0.0)
    monkeypatch.setenv("PYBUILD_GC", "off")
    old(root)
    assert after_build(root, grown=True) == ()
    assert layers(root) == {kept}
