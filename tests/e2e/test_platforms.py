"""Builds for several platforms, held against skopeo and buildah; nothing is emulated."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.e2e.docker_registry import DockerRegistry, docker_registry
from tests.e2e.tools import Tools, needs_tool

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
    joined = elsewhere("index", "create", "-q", "-t", "joined", "--annotation", "a=b", name).ok()
    told = json.loads(elsewhere("index", "inspect", "--raw", "joined").ok().output)
    assert ([one["digest"] for one in told["manifests"]], told["annotations"]) == (
        list(digests.values()),
        {"a": "b"},
    )
    archive = tmp_path / "joined.tar"
    elsewhere("save", "--format", "oci-archive", "-o", str(archive), "joined").ok()
    raw = tools.skopeo("inspect", "--raw", f"oci-archive:{archive}")
    assert json.loads(raw) == told
    third = as_root.empty()
    assert third("load", "-i", str(archive)).ok().output == "Loaded image: joined:latest\n"
    again = f"{registry.host}/again:1"
    assert third("push", "-q", "joined", again).ok().output == joined.output
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
