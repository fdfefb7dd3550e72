"""What `run` makes on the way is removed by whoever made it, whenever a signal comes."""

from pathlib import Path

from buildkit.cli import running
from tests.interruption import interrupted


def test_a_file_for_the_id_is_there_with_it_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "id"

    def work() -> None:
        path.unlink(missing_ok=True)
        with running.cidfile(str(path)) as tell:
            tell("abc")

    times = 0
    for line in interrupted(work, running.__file__, "cidfile", "write", "_reserved"):
        assert not path.exists() or path.read_text() == "abc", f"line {line}"
        times += 1
    assert times > 5
    assert path.read_text() == "abc"
