"""Scanning by several processes finds what one process finds."""

import os
from pathlib import Path

import pytest

from buildkit.context import scan as scanning
from buildkit.context.local import LocalContext
from tests.trees import make_tree


def all_paths(context: LocalContext) -> list[str]:
    return [one.path for one in context.list() if one.seen]


@pytest.fixture
def big(tmp_path: Path) -> Path:
    lines = [
        f"file d{one}/e{two}/f{three} text={one}{two}{three}"
        for one in range(8)
        for two in range(8)
        for three in range(4)
    ]
    return make_tree(tmp_path, *lines, "file .dockerignore text=b'd7\\n*/e3\\n!d5/e3/f1\\n'")


def test_children_bring_home_what_one_process_finds(
    big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_SMALL", 0)
    monkeypatch.setattr(scanning, "_SPREAD", 4)
    monkeypatch.setattr(scanning, "_may_fork", lambda: True)
    alone = LocalContext.open(str(big))
    shared = LocalContext.open(str(big))
    shared.prefetch(["."])
    assert shared.tree.has_read("d6/e6")
    assert not shared.tree.has_read("d7/e0")
    assert not shared.tree.has_read("d4/e3")
    assert all_paths(shared) == all_paths(alone)
    for path in ("", "d0", "d5/e3"):
        assert shared.tree.directory(path).fingerprint == alone.tree.directory(path).fingerprint
    for context in (alone, shared):
        context.close()


def test_what_a_child_could_not_read_is_read_again_when_asked_for(
    big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_SMALL", 0)
    monkeypatch.setattr(scanning, "_SPREAD", 4)
    monkeypatch.setattr(scanning, "_may_fork", lambda: True)
    monkeypatch.setattr(scanning, "_look", lambda *_: os._exit(3) if os.getpid() != me else [])
    me = os.getpid()
    context = LocalContext.open(str(big))
    context.prefetch(["."])
    assert "d6/e6/f3" in all_paths(context)
    context.close()


def test_only_what_a_source_can_reach_is_looked_at(big: Path) -> None:
    context = LocalContext.open(str(big))
    context.prefetch(["d0", "d1/*/f1", "none/at/all"])
    assert context.tree.has_read("d0/e1")
    assert context.tree.has_read("d1/e1")
    assert not context.tree.has_read("d2")
    context.close()
