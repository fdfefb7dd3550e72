"""Builds for several platforms, held against skopeo and buildah, cross-compiled and emulated."""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.oci.platforms import Platform
from tests.callers import Caller
from tests.e2e.docker_registry import DockerRegistry, docker_registry
from tests.e2e.tools import Tools, needs_tool
from tests.program import Pybuild

DOCKERFILE = """FROM --platform=$BUILDPLATFORM busybox AS build
RUN echo once > /once
ARG TARGETARCH
RUN echo "for $TARGETARCH" > /what
FROM scratch
COPY --from=build /once /what /
CMD ["/what"]
"""
PLATFORMS = ("--platform", "linux/amd64,linux/arm64")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    made = Tools(tmp_path / "tools")
    yield made
    made.close()


def test_shared_steps_run_once_and_files_are_each_platforms(caller: Caller, tmp_path: Path) -> None:
    context = caller.context(DOCKERFILE)
    pybuild = caller.pybuild
    out = caller.place("out")
    done = pybuild.build(context, *PLATFORMS, "-o", str(out), name="multi").ok()
    assert done.errors.count("RUN echo once") == 1
    assert '[linux/amd64->arm64 build 3/3] RUN echo "for arm64"' in done.errors
    for architecture in ("amd64", "arm64"):
        assert (out / f"linux_{architecture}/what").read_text() == f"for {architecture}\n"
        found = pybuild("inspect", "--platform", f"linux/{architecture}", "multi").ok()
        assert json.loads(found.output)[0]["Architecture"] == architecture
    first = pybuild("images", "--no-trunc", "-q", "multi").ok().output
    iid, metadata = caller.place("iid"), caller.place("metadata")
    again = pybuild.build(
        context, *PLATFORMS, "--iidfile", str(iid / "f"), "--metadata-file", str(metadata / "f"),
        name="multi",
    ).ok()  # fmt: skip
    assert again.errors.count("CACHED") == 6
    assert (iid / "f").read_text() == first.strip()
    told = json.loads((metadata / "f").read_text())
    assert told["containerimage.digest"] == first.strip()
    assert told["containerimage.descriptor"]["digest"] == first.strip()
    assert pybuild("plan", *PLATFORMS, context).status == 0
    assert pybuild("prune", "-f", "--all").ok()
    assert pybuild("fsck").ok()
    assert pybuild("inspect", "--platform", "linux/arm64", "multi").ok()


@needs_tool("skopeo")
@needs_tool("buildah")
@needs_tool("docker-registry")
def test_other_tools_read_what_is_pushed(
    as_root: Caller, registry: DockerRegistry, tools: Tools, tmp_path: Path
) -> None:
    context = as_root.context(DOCKERFILE)
    name = f"{registry.host}/multi:1"
    layout = tmp_path / "layout"
    as_root.pybuild.build(
        context, *PLATFORMS, "--push", "-o", f"type=oci,dest={layout},tar=false", name=name
    ).ok()
    pushed = tools.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    assert json.loads(pushed) == json.loads(tools.skopeo("inspect", "--raw", f"oci:{layout}:1"))
    digests = {
        one["platform"]["architecture"]: one["digest"] for one in json.loads(pushed)["manifests"]
    }
    assert set(digests) == {"amd64", "arm64"}
    tools.buildah("manifest", "create", "--all", "--tls-verify=false", "list", f"docker://{name}")
    told = json.loads(tools.buildah("manifest", "inspect", "list"))
    assert [one["digest"] for one in told["manifests"]] == list(digests.values())
    assert tools.buildah("pull", "-q", "--tls-verify=false", "--arch", "arm64", name)
    tools.skopeo("copy", "--all", f"oci:{layout}:1", f"dir:{tmp_path}/dir")
    elsewhere = as_root.empty()
    joined = elsewhere("index", "create", "-q", "-t", "joined:1", "--annotation", "a=b", name).ok()
    told = json.loads(elsewhere("index", "inspect", "--raw", "joined:1").ok().output)
    assert ([one["digest"] for one in told["manifests"]], told["annotations"]) == (
        list(digests.values()),
        {"a": "b"},
    )
    archive = tmp_path / "joined.tar"
    elsewhere("save", "--format", "oci-archive", "-o", str(archive), "joined:1").ok()
    raw = tools.skopeo("inspect", "--raw", f"oci-archive:{archive}")
    assert json.loads(raw) == told
    derived = as_root.context("FROM joined:1\nCOPY Dockerfile /\n")
    assert "linux/arm64" in elsewhere("lock", *PLATFORMS, derived).ok().output
    assert elsewhere("build", "--locked", *PLATFORMS, "-t", "derived", derived).ok()
    assert elsewhere("check", *PLATFORMS, derived).ok()
    third = as_root.empty()
    assert third("load", "-i", str(archive)).ok().output == "Loaded image: joined:1\n"
    again = f"{registry.host}/again:1"
    assert third("push", "-q", "joined:1", again).ok().output == joined.output
    assert tools.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{again}") == raw
    assert "Platform:   linux/arm64" in third("index", "inspect", again).ok().output
    assert elsewhere("pull", "--platform", "linux/arm64", name).ok()
    assert elsewhere.inspect(name)["Architecture"] == "arm64"


def test_what_cannot_be_is_told(as_root: Caller, tmp_path: Path) -> None:
    context = as_root.context("FROM busybox\nRUN true\n")
    assert as_root.pybuild("tag", "busybox", "lone").ok()
    cases = {
        ("-o", f"type=docker,dest={tmp_path}/x"): (2, "does not support exporting manifest lists"),
        ("--annotation", "manifest[linux/s390x]:a=b"): (2, "nothing is built for linux/s390x"),
    }
    for options, (status, message) in cases.items():
        done = as_root.pybuild("build", *PLATFORMS, *options, context)
        assert (done.status, message in done.errors) == (status, True), done.errors
    wrong = {
        ("inspect", "lone"): (1, "is an image and no index"),
        ("create", "lone"): (2, "an index without a name"),
        ("create", "-t", "x"): (2, "an index of nothing"),
        ("create", "-t", "x", "-p", "s390x", "lone"): (2, "no image is left"),
        ("create", "-t", "x", "--annotation", "manifest:a=b", "lone"): (2, "cannot be changed"),
        ("create", "-t", "x", "-f", "/none", "lone"): (2, "/none: no such file"),
    }
    for options, (status, message) in wrong.items():
        done = as_root.pybuild("index", *options)
        assert (done.status, message in done.errors) == (status, True), done.errors


EMULATED = """FROM scratch
COPY say /say
RUN ["/say"]
CMD ["/say"]
"""
FOREIGN = (
    0xD2800020,  # mov x0, #1
    0x100000E1,  # adr x1, message
    0xD28000C2,  # mov x2, #6
    0xD2800808,  # mov x8, #64, write
    0xD4000001,  # svc #0
    0xD2800000,  # mov x0, #0
    0xD2800BA8,  # mov x8, #93, exit
    0xD4000001,  # svc #0
)
MAGIC = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
REGISTER = f"""mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 99
printf %s ':qemu-aarch64:M::{MAGIC}:{MASK}:'"$0"':F' > /proc/sys/fs/binfmt_misc/register || exit 99
exec "$@"
"""


def program_for_arm64() -> bytes:
    """Return a static ELF program that says hello and ends; source: elf(5)."""
    code = b"".join(word.to_bytes(4, "little") for word in FOREIGN) + b"hello\n"
    base, start = 0x400000, 64 + 56
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 2, 183, 1, base + start, 64, 0, 0, 64, 56, 1, 64, 0, 0,
    )  # fmt: skip
    size = start + len(code)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


@pytest.fixture
def foreign(as_root: Caller) -> Path:
    context = as_root.context(EMULATED)
    (context / "say").write_bytes(program_for_arm64())
    (context / "say").chmod(0o755)
    return context


@pytest.mark.skipif(Platform.host().architecture == "arm64", reason="nothing is foreign here")
def test_a_foreign_step_without_an_emulator_says_what_is_missing(
    as_root: Caller, foreign: Path
) -> None:
    if list(Path("/proc/sys/fs/binfmt_misc").glob("*aarch64*")):
        pytest.skip("this machine has an emulator registered")
    done = as_root.pybuild.build(foreign, "--platform", "linux/arm64")
    assert done.status == 1
    assert "hint: the step is for linux/arm64 and this machine is " in done.errors
    assert "register an emulator with binfmt_misc" in done.errors


@pytest.mark.skipif(Platform.host().architecture == "arm64", reason="nothing is foreign here")
@needs_tool("qemu-aarch64-static")
@needs_tool("unshare")
def test_a_foreign_step_runs_in_an_emulator_that_is_registered(
    as_root: Caller, foreign: Path
) -> None:
    qemu = str(shutil.which("qemu-aarch64-static"))
    # A user namespace has registrations of its own (Linux 6.7): the machine's are left alone.
    aside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", REGISTER, qemu)
    empty = as_root.empty()
    pybuild = Pybuild(empty.root, empty.cwd, words=(*aside, *empty.words))
    done = pybuild.build(foreign, "--platform", "linux/arm64,linux/arm64/v9")
    if done.status == 99:
        pytest.skip("this kernel has one binfmt_misc for all")
    assert "hello" in done.ok().errors
    assert pybuild("run", "--rm", "--platform", "linux/arm64", "test").ok().output == "hello\n"
