import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from buildkit.errors import StoreError
from buildkit.state.root import FORMAT, StateRoot
from tests.kernel import needs


@needs("root")
def test_a_new_root_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        with StateRoot.open(str(tmp_path / "deep" / "root")) as root:
            modes = {
                stat.S_IMODE(os.stat(path).st_mode)
                for path in (root.top, root.path("layers"), root.path("blobs", "sha256"))
            }
    finally:
        os.umask(before)
    assert modes == {0o700}
    assert Path(root.path("format")).read_text() == FORMAT


def test_a_root_that_others_can_enter_is_closed_again(tmp_path: Path) -> None:
    StateRoot.open(str(tmp_path / "root")).close()
    (tmp_path / "root").chmod(0o755)
    StateRoot.open(str(tmp_path / "root")).close()
    assert stat.S_IMODE((tmp_path / "root").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("pybuild-store 2\n", "of another format"),
        ("", "format is damaged"),
        ("x" * 5000, "format is damaged"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    StateRoot.open(str(tmp_path)).close()
    (tmp_path / "format").write_text(content)
    with pytest.raises(StoreError, match=problem):
        StateRoot.open(str(tmp_path))


def test_a_directory_with_other_things_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(StoreError, match="neither empty nor a state root"):
        StateRoot.open(str(tmp_path))
    assert os.listdir(tmp_path) == ["thesis.tex"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_creation_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    (tmp_path / "layers").mkdir()
    (tmp_path / "format.17").write_text("pyb")
    with StateRoot.open(str(tmp_path)) as root:
        assert os.path.isdir(root.path("blobs", "sha256"))


def test_a_file_in_place_of_the_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"/file(/format)?: (not a directory|file exists)"):
        StateRoot.open(str(tmp_path / "file"))


def test_databases_errors_name_the_database(tmp_path: Path) -> None:
    with closing(StateRoot.open(str(tmp_path))) as root:
        root.database()
    (tmp_path / "state.db").write_bytes(b"garbage" * 4096)
    with StateRoot.open(str(tmp_path)) as root, pytest.raises(StoreError) as caught:
        root.database()
    assert str(caught.value).startswith(f"{tmp_path}/state.db is damaged")
    assert "fsck --repair" in caught.value.hint


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        root.database().execute("PRAGMA user_version=99")
    with (
        StateRoot.open(str(tmp_path)) as root,
        pytest.raises(StoreError, match="tables of version 99"),
    ):
        root.database()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        with pytest.raises(KeyError), root.transaction() as database:
            database.execute("INSERT INTO image VALUES('a', 'b', 0)")
            raise KeyError
        assert root.database().execute("SELECT count(*) FROM image").fetchone() == (0,)


def test_what_a_command_made_half_goes_when_it_ends(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        directory = root.tmp()
        Path(directory, "x").touch()
        assert root.tmp() != directory
    assert os.listdir(tmp_path / "tmp") == []
    assert os.listdir(tmp_path / "leases") == []


def _write(top: Path, size: int) -> None:
    """Be a command that writes something and leaves the database open, as commands do."""
    pid = os.fork()
    if pid == 0:
        with StateRoot.open(str(top)) as root, root.transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS noted (id INTEGER PRIMARY KEY, data)")
            connection.execute("INSERT OR REPLACE INTO noted VALUES (1, randomblob(?))", (size,))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_log_of_the_database_stays_short_over_many_commands(tmp_path: Path) -> None:
    top = tmp_path / "root"
    sizes = []
    for _ in range(40):
        _write(top, 100_000)
        sizes.append((top / "state.db-wal").stat().st_size)
    # 40 commands wrote four million bytes, each a little of it.
    assert max(sizes) < 1 << 20
    assert min(sizes[20:]) < max(sizes[:20])


def test_a_log_that_another_command_reads_is_left_as_it_is(tmp_path: Path) -> None:
    top = tmp_path / "root"
    _write(top, 100)
    with closing(StateRoot.open(str(top))) as other:
        other.database().execute("BEGIN")
        other.database().execute("SELECT * FROM noted").fetchone()
        _write(top, 3_000_000)
        assert (top / "state.db-wal").stat().st_size > 3_000_000
        other.database().execute("COMMIT")
    _write(top, 100)
    assert (top / "state.db-wal").stat().st_size < 1 << 20
