"""What `ps` shows."""

import os
from pathlib import Path

from buildkit.cli.ps import size_of


def test_a_file_of_several_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/one").write_bytes(b"12345")
    os.link(tmp_path / "d/one", tmp_path / "two")
    (tmp_path / "three").write_bytes(b"123")
    assert size_of(str(tmp_path)) == 8
