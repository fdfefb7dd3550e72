"""A real program: compiled in one stage with Debian's compiler, run in another, and elsewhere."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.e2e.test_rebuilds import build
from tests.e2e.tools import Tools, needs_tool
from tests.program import TOP, Pybuild

SAYS = "compiled in one stage, run in another\n"
COMPILES = "RUN gcc -O2 -static -s -Wl,--build-id=none -o /hello hello.c"


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    made = Tools(tmp_path / "tools")
    yield made
    made.close()


@needs_tool("mmdebstrap")
@needs_tool("skopeo")
@needs_tool("umoci")
@needs_tool("podman")
def test_a_compiled_program_runs_in_a_small_image(
    debian: Pybuild, as_root: Caller, tools: Tools, tmp_path: Path
) -> None:
    context = as_root.place("context")
    shutil.copy(TOP / "fixtures/twostage/Dockerfile", context)
    network = ("--network", "host")
    first = build(debian, context, *network, "-t", "two:1")
    assert debian.run("two:1").ok().output == SAYS
    assert build(debian, context, *network).ran == []

    lines = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(lines.replace("A comment here", "Another comment"))
    second = build(debian, context, *network)
    assert second.ran == ["COPY <<EOF hello.c", COMPILES]
    assert second.image == first.image

    for form in ("oci", "docker"):
        archive = tmp_path / f"{form}.tar"
        debian("build", *network, "-t", "two:1", "-o", f"type={form},dest={archive}", context).ok()
        assert tools.inspect(f"{form}-archive:{archive}")["Architecture"]
        tools.podman("load", "-i", archive)
        assert tools.podman_run("two:1") == SAYS
    layout = tmp_path / "layout"
    debian("save", "--format", "oci-dir", "-o", layout, "two:1").ok()
    tools.umoci("unpack", "--image", f"{layout}:1", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/hello").stat().st_mode & 0o777 == 0o755
