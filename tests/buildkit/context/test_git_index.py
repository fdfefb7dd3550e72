"""What git's own index files say, of every version and both hashes."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from buildkit.context.git_index import read_modes
from tests.e2e.tools import needs_tool
from tests.trees import make_tree

pytestmark = needs_tool("git")


def git(place: Path, *words: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(place), *words], check=True, env=environment)


def checkout(top: Path, version: int, form: str = "sha1") -> Path:
    """Make an index whose modes are none of those on the disk."""
    make_tree(
        top,
        "file a.txt text=a",
        "file src/deep/longer-name.sh text=b",
        "file src/deep/longer-name.txt text=c",
        "file src/run 0755 text=d",
        "link link -> a.txt",
        "file unknown 0755 text=e",
    )
    git(top, "init", "-q", f"--object-format={form}")
    git(top, "add", "a.txt", "src", "link")
    git(top, "update-index", "--chmod=+x", "src/deep/longer-name.sh")
    git(top, "update-index", "--chmod=-x", "src/run")
    if version == 3:
        (top / "later").touch()
        git(top, "add", "--intent-to-add", "later")
    git(top, "update-index", f"--index-version={version}")
    assert (top / ".git/index").read_bytes()[7] == version
    return top


WANTED = {
    b"a.txt": 0o644,
    b"src/deep/longer-name.sh": 0o755,
    b"src/deep/longer-name.txt": 0o644,
    b"src/run": 0o644,
}


@pytest.mark.parametrize("form", ["sha1", "sha256"])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_modes_are_those_of_the_index(tmp_path: Path, version: int, form: str) -> None:
    found = dict(read_modes(str(checkout(tmp_path, version, form))))
    found.pop(b"later", None)
    assert found == WANTED


def test_of_a_directory_in_the_checkout_paths_are_in_there(tmp_path: Path) -> None:
    found = read_modes(str(checkout(tmp_path, 4) / "src"))
    assert found == {path[4:]: mode for path, mode in WANTED.items() if path.startswith(b"src/")}


def test_a_further_worktree_has_its_own_index(tmp_path: Path) -> None:
    top = checkout(tmp_path / "top", 2)
    git(top, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")
    git(top, "worktree", "add", "-q", str(tmp_path / "other"))
    assert read_modes(str(tmp_path / "other")) == WANTED


@pytest.mark.parametrize("cut", [0, 3, 11, 12, 40, 75, 100, 140])
@pytest.mark.parametrize("version", [2, 4])
def test_an_index_cut_short_is_none(tmp_path: Path, version: int, cut: int) -> None:
    index = checkout(tmp_path, version) / ".git/index"
    os.truncate(index, cut)
    assert read_modes(str(tmp_path)) == {}


def test_what_is_no_repository_has_no_modes(tmp_path: Path) -> None:
    assert read_modes(str(tmp_path)) == {}
    os.mkdir(tmp_path / ".git")
    os.mkfifo(tmp_path / ".git/index")
    assert stat.S_ISFIFO(os.stat(tmp_path / ".git/index").st_mode)
    assert read_modes(str(tmp_path)) == {}
    os.unlink(tmp_path / ".git/index")
    os.mkdir(tmp_path / ".git/index")
    assert read_modes(str(tmp_path)) == {}
