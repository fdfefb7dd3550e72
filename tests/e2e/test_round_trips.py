"""What a build writes out, as others read it, and as it comes back."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.e2e.cases import FOLDER, Case, read_cases
from tests.e2e.tools import Tools, needs_tool
from tests.images import Image, read_layout
from tests.trees import read_tree

RICH = (
    *("copy-capabilities", "copy-metadata", "devices", "hardlinks", "modes", "odd-names"),
    *("opaque", "scratch", "whiteouts"),
)
"""Cases of fixtures/contexts whose trees are hard to get right."""

_OWNER = re.compile(" [0-9]+:[0-9]+")

CASES = {case.name: case for case in read_cases(FOLDER)}


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    made = Tools(tmp_path / "tools")
    yield made
    made.close()


def written(caller: Caller, case: Case, output: str, *, tag: str = "out") -> Path:
    """Build a case and return where its output is."""
    context, options = case.laid(caller)
    target = caller.place("written") / "image"
    caller.pybuild.build(context, *options, "-o", f"{output},dest={target}", name=tag).ok()
    return target


def lines_of(image: Image) -> list[str]:
    return list(image.tree().values())


@needs_tool("umoci")
@pytest.mark.parametrize("name", RICH)
def test_umoci_unpacks_the_same_tree(
    as_root: Caller, tools: Tools, tmp_path: Path, name: str
) -> None:
    layout = written(as_root, CASES[name], "type=oci,tar=false", tag="app:1")
    tools.umoci("unpack", "--image", f"{layout}:1", tmp_path / "bundle")
    assert read_tree(tmp_path / "bundle/rootfs") == lines_of(read_layout(layout))


@pytest.mark.parametrize("name", RICH)
def test_a_directory_holds_the_tree_as_files_of_the_user(as_root: Caller, name: str) -> None:
    wanted = lines_of(read_layout(written(as_root, CASES[name], "type=oci,tar=false")))
    found = read_tree(written(as_root, CASES[name], "type=local"))
    assert [plain(line) for line in found] == [plain(line) for line in wanted]
    assert not [line for line in found if not line.startswith("hard ") and " 0:0" not in line]


@pytest.mark.parametrize("name", RICH)
def test_a_flat_tar_holds_the_tree(as_root: Caller, tmp_path: Path, name: str) -> None:
    wanted = lines_of(read_layout(written(as_root, CASES[name], "type=oci,tar=false")))
    with tarfile.open(written(as_root, CASES[name], "type=tar")) as tar:
        tar.extractall(tmp_path, filter="fully_trusted")
    found = read_tree(tmp_path)
    assert [line.partition(" xattr.")[0] for line in found] == [
        line.partition(" xattr.")[0] for line in wanted
    ]


def plain(line: str) -> str:
    """Return a line without the owner and the extended attributes."""
    return _OWNER.sub("", line.partition(" xattr.")[0])


@pytest.mark.parametrize("form", ["type=oci", "type=docker", "type=oci,compression=uncompressed"])
def test_an_image_that_is_loaded_again_is_the_same(caller: Caller, form: str) -> None:
    archive = written(caller, CASES["whiteouts"], form, tag="app:1")
    elsewhere = caller.empty()
    elsewhere("load", "-i", archive).ok()

    before, after = caller.pybuild.inspect("app:1"), elsewhere.inspect("app:1")
    assert (after["Id"], after["Config"]) == (before["Id"], before["Config"])
    assert after["RootFS"] == before["RootFS"]
    command = ("sh", "-c", "find /t -exec stat -c '%n %A %u:%g %s %Y' {} + | sort; ls /etc")
    assert elsewhere.run("app:1", *command).output == caller.pybuild.run("app:1", *command).output
    elsewhere("fsck").ok()


@needs_tool("skopeo")
@pytest.mark.parametrize(
    ("form", "transport"), [("oci", "oci-archive"), ("docker", "docker-archive")]
)
def test_skopeo_reads_the_whole_config(
    as_root: Caller, tools: Tools, form: str, transport: str
) -> None:
    archive = written(as_root, CASES["config"], f"type={form}", tag="app:1")
    reference = f"{transport}:{archive}"
    config = tools.config(reference)["config"]
    document = as_root.pybuild.inspect("app:1")
    for field in ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Labels", "StopSignal"):
        assert config[field] == document["Config"][field]
    assert set(config["ExposedPorts"]) == {
        f"{port}/tcp" for port in (80, 443, 8000, 8001, 8002)
    } | {"53/udp"}
    assert tools.inspect(reference)["Layers"]


@needs_tool("podman")
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_podman_runs_what_was_built(as_root: Caller, tools: Tools, form: str) -> None:
    context = as_root.context(
        "FROM busybox\nENV WHO=podman\nWORKDIR /srv\nCOPY a.txt .\nRUN rm /etc/nsswitch.conf\n"
        'ENTRYPOINT ["sh", "-c", "cat a.txt; echo $WHO; ls /etc/nsswitch* 2>&1; true"]\n',
        "file a.txt text=a",
    )
    archive = as_root.place("written") / "image.tar"
    as_root.pybuild.build(context, "-o", f"type={form},dest={archive}", name="app:1").ok()
    tools.podman("load", "-i", archive)
    wanted = "apodman\nls: /etc/nsswitch*: No such file or directory\n"
    assert as_root.pybuild("run", "--rm", "app:1").output == wanted
    assert tools.podman_run("app:1") == wanted
