"""Dockerfiles with their contexts, built by pybuild as several users and by buildah.

What comes out is written down in `fixtures/contexts/<case>/image.txt`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import kernel
from tests.callers import BASE, Caller
from tests.e2e.cases import Case, read_cases, section, told
from tests.e2e.tools import Tools, needs_tool
from tests.images import Image, read_dir, read_layout

CASES = read_cases()

BUILDERS_OWN = {
    "ArgsEscaped": "BuildKit's mark that there was a CMD; buildah sets none",
    "Hostname": "the name of the container that buildah worked in",
    'WorkingDir "/"': "BuildKit writes / where nothing was said, buildah nothing",
}
"""Fields of a config that say who built, and nothing about what was built."""

STUBS = {
    "file etc/hostname": "chroot isolation",
    "file etc/hosts": "chroot isolation",
    "file etc/resolv.conf": "chroot isolation",
}
"""Files that buildah leaves behind as mount points."""

SIGNATURE = "io.buildah.version"
"""The label by which buildah signs."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_context_gives_the_image_that_is_written_down(caller: Caller, case: Case) -> None:
    for feature in case.options.get("needs", []):
        kernel.require(feature)
    if caller.kind == "rootless" and "root" in case.options.get("needs", []):
        pytest.skip("for root only")
    image = built(caller, case)
    assert told(image, base_of(caller), times=case.times) == case.expected


@needs_tool("buildah")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_buildah_makes_the_same_image(
    as_root: Caller, buildah: Tools, tmp_path: Path, case: Case
) -> None:
    if why := case.options.get("without_buildah"):
        pytest.skip(why)
    context, options = case.laid(as_root)
    options += ["--pull-never", "--format", "docker", "--isolation", "chroot"]
    options += case.options.get("buildah", [])
    buildah.buildah("bud", "-q", "-t", case.name, *options, context)
    buildah.buildah("push", "-q", "-D", case.name, f"dir:{tmp_path}/out")
    image = read_dir(tmp_path / "out")
    image.config["config"]["Labels"].pop(SIGNATURE)
    theirs = told(image, base_of(as_root), times=case.times)

    for name in ("config", "tree"):
        ours = comparable(section(case.expected, name), case)
        assert comparable(section(theirs, name), case) == ours


@pytest.fixture(scope="session")
def buildah(as_root: Caller) -> Iterator[Tools]:
    """buildah, with the base image in its store."""
    place = as_root.place("tools")
    as_root.pybuild("save", "-o", place / "base.tar", BASE).ok()
    tools = Tools(place / "state", "overlay")
    digest = tools.buildah("pull", "-q", f"docker-archive:{place}/base.tar").strip()
    tools.buildah("tag", digest, f"localhost/{BASE}:latest")
    yield tools
    tools.close()


def comparable(lines: list[str], case: Case) -> list[str]:
    """Return lines without those that are known to differ."""
    known = {*BUILDERS_OWN, *STUBS, *case.differences}
    return [line for line in lines if not any(_is(line, what) for what in known)]


def _is(line: str, what: str) -> bool:
    return line == what or line.startswith(f"{what} ")


def built(caller: Caller, case: Case) -> Image:
    """Return what pybuild builds."""
    context, options = case.laid(caller)
    layout = caller.place("layout")
    output = f"type=oci,dest={layout}/out,tar=false"
    caller.pybuild.build(context, *options, "-o", output, name=case.name).ok()
    return read_layout(layout / "out")


def base_of(caller: Caller) -> Image:
    """Return the base image."""
    layout = caller.top / "base"
    if not layout.exists():
        caller.pybuild("save", "--format", "oci-dir", "-o", layout, BASE).ok()
    return read_layout(layout)
