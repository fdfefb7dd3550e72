"""ADD of a repository: the commit is the key, a ref is looked up once a build."""

from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.llb.op import GitOp
from buildkit.ops.git import Repositories
from tests.buildkit.context.test_git import Origin, Server, pytestmark
from tests.buildkit.context.test_git import origin as origin
from tests.buildkit.context.test_git import server as server

__all__ = ["pytestmark"]


@pytest.fixture
def aside(tmp_path: Path) -> Callable[[], str]:
    numbers = iter(range(100))

    def make() -> str:
        path = tmp_path / f"aside{next(numbers)}"
        path.mkdir()
        return str(path)

    return make


def test_a_branch_is_looked_up_once_and_its_files_are_those_of_then(
    origin: Origin, server: Server, tmp_path: Path, aside: Callable[[], str]
) -> None:
    op = GitOp(
        remote=f"{server.url}/r.git",
        ref="main",
        subdir="sub",
        keep_git_dir=False,
        submodules=True,
        checksum="",
    )
    repositories = Repositories(aside)
    assert repositories.identify(op) == {"commit": origin.second}
    third = origin.commit("three")
    assert repositories.identify(op) == {"commit": origin.second}
    (tmp_path / "upper").mkdir()
    repositories.write(op, str(tmp_path / "upper"))
    assert (tmp_path / "upper/file").read_text() == "two"
    assert Repositories(aside).identify(op) == {"commit": third}
