"""What a monitor leaves on the disk."""

from pathlib import Path

from runtime.monitor import _write_pid


def test_the_number_of_a_process_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    _write_pid(str(tmp_path / "pid"), 42)
    assert (tmp_path / "pid").read_text() == "42\n"
    (tmp_path / "directory").mkdir()
    _write_pid(str(tmp_path / "directory"), 42)
    _write_pid(str(tmp_path / "none/pid"), 42)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "pid"]
