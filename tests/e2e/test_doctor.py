"""What doctor says."""

import json
from pathlib import Path

import pytest

from tests.kernel import require
from tests.program import PROGRAM, Pybuild


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    """pybuild with nothing in its store."""
    return Pybuild(tmp_path / "root", tmp_path)


def test_what_is_needed_is_told_apart_from_what_is_of_use(pybuild: Pybuild) -> None:
    require("root")
    features = {f["name"]: f for f in json.loads(pybuild("doctor", "--format", "json").ok().output)}
    for name in ("kernel", "overlay", "own namespaces", "state root"):
        assert features[name]["needed"]
        assert features[name]["works"]
    assert features["state root as upper"]["works"]
    assert not features["zstandard"]["needed"]


def test_nothing_is_made(pybuild: Pybuild) -> None:
    pybuild("doctor")
    assert not pybuild.root.exists()


def test_a_root_of_another_format_is_told(pybuild: Pybuild) -> None:
    pybuild.root.mkdir()
    (pybuild.root / "format").write_text("pybuild-store 99\n")
    done = pybuild("doctor")
    assert done.status == 1
    assert "NO  state root" in done.output
    assert done.output.endswith("nothing can be built here\n")


ON_AN_OVERLAY = """
mkdir lower upper work place && mount -t overlay overlay \\
    -o lowerdir=lower,upperdir=upper,workdir=work place && exec "$@"
"""


def test_a_root_on_an_overlay_is_told(tmp_path: Path) -> None:
    require("root")
    require("overlay")
    inside = ("unshare", "-m", "sh", "-c", ON_AN_OVERLAY, "sh")
    pybuild = Pybuild(tmp_path / "place/root", tmp_path, words=(*inside, *PROGRAM))
    done = pybuild("doctor").ok()
    assert "no  state root as upper" in done.output
    assert "cannot hold what changes" in done.output
    assert "hint: each RUN and each container works on a copy" in done.output
