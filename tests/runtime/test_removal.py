"""Trees are removed also where somebody else is removing them."""

import os
from pathlib import Path
from typing import Any

import pytest

from runtime import removal
from runtime.removal import remove_tree


def tree(where: Path) -> Path:
    (where / "gone/below/deeper").mkdir(parents=True)
    (where / "gone/file").write_text("")
    (where / "gone/below/file").write_text("")
    return where / "gone"


@pytest.mark.parametrize("call", ["open", "scandir", "unlink", "rmdir"])
@pytest.mark.parametrize("turn", range(4))
def test_what_somebody_else_removes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, turn: int
) -> None:
    top = tree(tmp_path)
    real, calls, within = getattr(os, call), [0], [False]

    def other_first(*args: Any, **options: Any) -> Any:
        if not within[0]:
            if calls[0] == turn:
                within[0] = True
                remove_tree(top)
                within[0] = False
            calls[0] += 1
        return real(*args, **options)

    monkeypatch.setattr(removal.os, call, other_first)
    remove_tree(top)
    monkeypatch.undo()
    assert not top.exists()


def test_a_deep_tree_that_goes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "gone"
    (top / "/".join("d" * 150)).mkdir(parents=True)
    real, done = os.rename, [False]

    def other_first(*args: Any, **options: Any) -> Any:
        if not done[0]:
            done[0] = True
            remove_tree(top)
        return real(*args, **options)

    monkeypatch.setattr(removal.os, "rename", other_first)
    remove_tree(top)
    assert not top.exists()
