"""Attestations from the command line to the registry and back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.callers import Caller
from tests.e2e.docker_registry import DockerRegistry, docker_registry
from tests.e2e.tools import needs_tool

DOCKERFILE = """FROM busybox AS build
RUN --mount=type=secret,id=s cat /run/secrets/s >/dev/null && echo made > /made
FROM busybox
COPY --from=build /made /made
COPY status /var/lib/dpkg/status
"""
SECRET = "hunter2-and-more"
EPOCH = "--source-date-epoch=1700000000"
INSECURE = "--tls-verify=false"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path / "registry") as found:
        yield found


def context_of(caller: Caller) -> Path:
    context = caller.context(DOCKERFILE)
    caller.write(context / "status", "Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n")
    caller.write(context / "secret", SECRET)
    caller.write(context / ".dockerignore", "secret\n")
    return context


def documents(path: Path) -> dict[str, Any]:
    """Return the JSON documents among the blobs of a layout, by digest."""
    found = {}
    for blob in (path / "blobs/sha256").iterdir():
        data = blob.read_bytes()
        if data.startswith(b"{"):
            found[f"sha256:{blob.name}"] = json.loads(data)
    return found


@needs_tool("docker-registry")
def test_attestations_lie_beside_an_image_that_stays_as_it_is(
    as_root: Caller, registry: DockerRegistry
) -> None:
    context, place = context_of(as_root), as_root.place()
    name = f"{registry.host}/app:1"
    secret = f"--secret=id=s,src={context}/secret"
    # Nobody declares it, so it reaches no step and no key; a provenance has all that was asked for.
    build = ("--build-arg", f"TOKEN=x{SECRET}", secret, EPOCH)
    plain, attested = as_root.fresh(), as_root.fresh()

    plain.build(context, *build, "-o", f"type=oci,tar=false,dest={place}/plain", name=name).ok()
    done = attested.build(
        context,
        *(*build, "--sbom=true", "--provenance=mode=max", "--push", "--metadata-file"),
        *(f"{place}/m.json", "-o", f"type=oci,tar=false,dest={place}/attested"),
        *("-o", f"type=local,dest={place}/files,attestation-prefix=about."),
        name=name,
    ).ok()
    assert "attested 1 package\n" in done.errors

    image = plain.inspect(name)["Id"]
    assert attested.inspect(name)["Id"] == image
    before, after = documents(place / "plain"), documents(place / "attested")
    top = json.loads((place / "plain/index.json").read_text())["manifests"]
    entries = json.loads((place / "attested/index.json").read_text())["manifests"]
    assert entries[0] == top[0]
    assert len(entries) == 3
    assert before.items() <= after.items()
    for entry in entries[1:]:
        artifact = after[entry["digest"]]
        assert artifact["subject"]["digest"] == top[0]["digest"]
        assert entry["artifactType"] == artifact["artifactType"] == "application/vnd.in-toto+json"
        statement = after[artifact["layers"][0]["digest"]]
        assert statement["subject"][0]["digest"] == {"sha256": top[0]["digest"][7:]}

    kinds = {"sbom": "https://cyclonedx.org/bom", "provenance": "https://slsa.dev/provenance/v1"}
    for kind, predicate in kinds.items():
        shown = [
            json.loads(attested("attest", *options, "show", "--type", kind, name).ok().output)
            for options in ((), ("--remote", INSECURE))
        ]
        assert [one["predicateType"] for one in shown] == [predicate] * 2
        assert shown[0]["predicate"] == shown[1]["predicate"]
    files = {path.name for path in (place / "files").iterdir() if path.name.startswith("about.")}
    assert files == {"about.sbom.cdx.json", "about.provenance.json"}
    metadata = json.loads((place / "m.json").read_text())
    request = metadata["buildx.build.provenance"]["buildDefinition"]["externalParameters"]
    assert request["request"]["secrets"] == [{"id": "s"}]
    assert metadata["containerimage.digest"] == top[0]["digest"]
    for path in (place, attested.root):
        assert not [one for one in path.rglob("*") if one.is_file() and holds(one, SECRET)]

    elsewhere = as_root.empty()
    elsewhere("load", "-i", place / "attested").ok()
    assert elsewhere.inspect(name)["Id"] == image
    pulled = as_root.empty()
    pulled("pull", INSECURE, name).ok()
    assert "sha256" not in pulled("attest", "ls", name).ok().output
    done = pulled("pull", "--attestations", INSECURE, name).ok()
    assert f"kept sbom about {image[7:19]}" in done.errors
    listed = [one("attest", "ls", name).ok().output for one in (attested, elsewhere, pulled)]
    assert listed[0] == listed[1] == listed[2]
    assert listed[0].count("sha256:") == 2
    attested("rmi", name).ok()
    attested("prune", "-f").ok()
    attested("fsck").ok()


def holds(path: Path, text: str) -> bool:
    return text.encode() in path.read_bytes()


def test_an_ordinary_user_has_them_too_and_none_without_asking(as_rootless: Caller) -> None:
    pybuild = as_rootless.fresh()
    context = context_of(as_rootless)
    secret = f"--secret=id=s,src={context}/secret"
    pybuild.build(context, secret).ok()
    assert pybuild("attest", "ls", "--format", "json", "test").ok().output == ""
    missing = pybuild("attest", "show", "test")
    assert missing.status == 1
    assert "test has no attestation" in missing.errors
    pybuild.build(context, secret, "--attest", "type=provenance,builder-id=https://ci/1").ok()
    shown = json.loads(pybuild("attest", "show", "--predicate", "test").ok().output)
    assert shown["runDetails"]["builder"]["id"] == "https://ci/1"


def test_what_a_later_build_refuses_goes_from_the_image(as_root: Caller) -> None:
    pybuild, place = as_root.empty(), as_root.place()
    context = as_root.context("FROM scratch\nCOPY a /\n", "file a text=a")

    for number, (options, entries) in enumerate(
        [(("--provenance=true",), 2), ((), 2), (("--provenance=false",), 1)]
    ):
        out = place / str(number)
        done = pybuild.build(context, *options, "-o", f"type=oci,tar=false,dest={out}").ok()
        assert ("forgot provenance of an earlier build" in done.errors) == (entries == 1)
        assert len(json.loads((out / "index.json").read_text())["manifests"]) == entries
    assert pybuild("attest", "ls", "--format", "json", "test").ok().output == ""


@needs_tool("docker-registry")
def test_images_of_several_platforms_have_theirs(as_root: Caller, registry: DockerRegistry) -> None:
    pybuild, name = as_root.empty(), f"{registry.host}/several:1"
    context = as_root.context("FROM scratch\nCOPY a /\n", "file a text=a")
    platforms = ("linux/amd64", "linux/arm64")
    words = ("--platform", ",".join(platforms), "--provenance=true", "--push")
    pybuild.build(context, *words, name=name).ok()
    for options in ((), ("--remote", INSECURE)):
        listed = pybuild("attest", *options, "ls", "--format", "json", name).ok().output
        found = [json.loads(line) for line in listed.splitlines()]
        assert sorted(one["platform"] for one in found) == list(platforms)
    pulled = as_root.empty()
    index = pulled("pull", "-q", "--platform=all", "--attestations", INSECURE, name).ok().output
    assert index in pulled("images", "-q", "--no-trunc").ok().output
    assert pulled("attest", "ls", name).ok().output == pybuild("attest", "ls", name).ok().output
    # Another word for the same platform
    one = pybuild("attest", "show", "--platform", "aarch64", "--predicate", name).ok().output
    request = json.loads(one)["buildDefinition"]["externalParameters"]["request"]
    assert request["args"]["platform"] == platforms[1]
    bad = pybuild("attest", "ls", "--platform", "a/b/c/d", name)
    assert (bad.status, bad.output) == (2, "")
