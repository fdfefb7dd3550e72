"""Files that are done without where they cannot be written."""

import os
from pathlib import Path

from buildkit.state import notes


def test_a_note_replaces_the_one_before(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        notes.keep(str(tmp_path / "note"), text)
        assert (tmp_path / "note").read_bytes() == text
    assert os.listdir(tmp_path) == ["note"]
    assert (tmp_path / "note").stat().st_mode & 0o777 == 0o600


def test_one_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    notes.keep(str(tmp_path / "none" / "note"), b"x")
    (tmp_path / "note").mkdir()
    notes.keep(str(tmp_path / "note"), b"x")
    assert os.listdir(tmp_path) == ["note"]
