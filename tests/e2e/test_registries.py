"""Images to and from registries, held against skopeo, podman and buildah."""

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import registry_faults as faults
from tests.callers import BASE, Caller
from tests.e2e.docker_registry import PASSWORD, USER, DockerRegistry, docker_registry
from tests.e2e.tools import Tools, needs_tool
from tests.registry import Exchange, running
from tests.registry import Registry as Misbehaving

pytestmark = needs_tool("docker-registry")

DOCKERFILE = """FROM busybox
ENV WHO=somebody
COPY a.txt /a.txt
RUN echo made > /made && rm /etc/nsswitch.conf
CMD ["sh", "-c", "cat /a.txt /made; echo $WHO"]
"""
SAYS = "amade\nsomebody\n"
INSECURE = "--tls-verify=false"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    made = Tools(tmp_path / "tools")
    yield made
    made.close()


@pytest.fixture
def misbehaving() -> Iterator[Misbehaving]:
    with running() as found:
        yield found


def built(caller: Caller, name: str, *options: str) -> str:
    """Build an image as `name`; return its ID."""
    context = caller.context(DOCKERFILE, "file a.txt text=a")
    caller.pybuild.build(context, *options, name=name).ok()
    return str(caller.pybuild.inspect(name)["Id"])


def test_what_is_pushed_is_what_is_pulled(caller: Caller, registry: DockerRegistry) -> None:
    name = f"{registry.host}/app:1"
    image = built(caller, name, "--push")
    elsewhere = caller.empty()
    assert elsewhere("pull", name).ok().output == f"{image}\n"
    assert elsewhere.run(name).output == SAYS
    assert elsewhere.inspect(name)["RootFS"] == caller.pybuild.inspect(name)["RootFS"]
    elsewhere("fsck", "--full").ok()
    registry.asked()
    # An image that was pulled keeps its digest where it goes.
    first = caller.pybuild("push", name).ok().output
    assert elsewhere("push", name, f"{registry.host}/other:2").ok().output == first


def test_all_tags_of_a_repository_go_and_come(as_root: Caller, registry: DockerRegistry) -> None:
    pybuild, elsewhere = as_root.empty(), as_root.empty()
    context = as_root.context("FROM scratch\nCOPY a /\n", "file a text=a")
    name = f"{registry.host}/many"
    words = ("--provenance=true", "-t", f"{name}:2", "-t", f"{registry.host}/other:3")
    pybuild.build(context, *words, name=f"{name}:1").ok()
    pushed = pybuild("push", "--all-tags", INSECURE, name).ok().output.split()
    assert len(pushed) == 2
    # The tag that stands in for the list of referrers is no image.
    assert len(elsewhere("pull", "-a", INSECURE, name).ok().output.split()) == 2
    assert elsewhere.inspect(f"{name}:2")["RepoTags"] == [f"{name}:1", f"{name}:2"]
    for command in ("pull", "push"):
        refused = elsewhere(command, "-a", f"{name}:1")
        assert (refused.status, "a tag can't be used with --all-tags" in refused.errors) == (
            2,
            True,
        )


def test_what_is_pushed_need_not_be_kept(as_root: Caller, registry: DockerRegistry) -> None:
    pybuild = as_root.fresh()
    name = f"{registry.host}/unkept:1"
    context = as_root.context(f"FROM {BASE}\nRUN echo new > /new\n")
    before = pybuild("images", "-q").ok().output
    output = f"type=registry,name={name},store=false,name-canonical=true"
    done = pybuild("-o", output, context).ok()
    assert ", not kept" in done.errors
    assert pybuild("images", "-q").ok().output == before
    assert pybuild("inspect", name).status == 1
    assert as_root.empty()("pull", name).status == 0
    refused = pybuild(
        "-o", "type=image,store=false", "--platform", "linux/amd64,linux/arm64", context
    )
    assert refused.status == 2
    assert "store=false is for one platform" in refused.errors


def test_what_the_registry_has_is_neither_sent_nor_fetched_again(
    as_root: Caller, registry: DockerRegistry
) -> None:
    name = f"{registry.host}/app:1"
    built(as_root, name, "--push")
    registry.asked()
    as_root.pybuild("push", name).ok()
    sent = [path for method, path, _ in registry.asked() if method in ("POST", "PATCH", "PUT")]
    assert sent == ["/v2/app/manifests/1"]
    as_root.pybuild("pull", name).ok()
    assert registry.blobs_fetched() == [str(as_root.pybuild.inspect(name)["Id"])]


def test_layers_are_mounted_from_another_repository(
    as_root: Caller, registry: DockerRegistry
) -> None:
    built(as_root, f"{registry.host}/one:1", "--push")
    registry.asked()
    as_root.pybuild("push", f"{registry.host}/one:1", f"{registry.host}/team/two:1").ok()
    asked = registry.asked()
    mounts = [status for method, path, status in asked if method == "POST" and "mount=" in path]
    assert mounts
    assert set(mounts) == {201}
    assert [path for method, path, _ in asked if method in ("PUT", "PATCH")] == [
        "/v2/team/two/manifests/1"
    ]


def test_a_base_comes_from_a_mirror_of_the_hub(caller: Caller, registry: DockerRegistry) -> None:
    machine = caller.fresh()
    machine("push", "busybox", f"{registry.host}/library/busybox:latest").ok()
    mirrors = {"PYBUILD_REGISTRY_MIRRORS": f"docker.io=http://{registry.host}"}
    elsewhere = caller.empty(mirrors)
    context = caller.context(DOCKERFILE, "file a.txt text=a")
    elsewhere.build(context).ok()
    assert elsewhere.run("test").output == SAYS
    # The second time nobody is asked.
    registry.asked()
    elsewhere.build(context).ok()
    assert registry.asked() == []


def test_run_pulls_what_is_not_here(as_root: Caller, registry: DockerRegistry) -> None:
    name = f"{registry.host}/app:1"
    built(as_root, name, "--push")
    elsewhere = as_root.empty()
    refused = elsewhere("run", "--pull", "never", name)
    assert (refused.status, "no image is called" in refused.errors) == (125, True)
    assert elsewhere("run", "--rm", name).ok().output == SAYS
    registry.asked()
    assert elsewhere("run", "--rm", name).ok().output == SAYS
    assert registry.asked() == []


def test_policies_say_when_the_registry_is_asked(as_root: Caller, registry: DockerRegistry) -> None:
    name = f"{registry.host}/base:1"
    there = as_root.fresh()
    there("push", "busybox", name).ok()
    here = as_root.empty()
    context = as_root.context(f"FROM {name}\nRUN cat /new 2> /dev/null > /seen; true\n")
    here.build(context).ok()
    newer = as_root.context("FROM busybox\nRUN echo new > /new\n")
    there.build(newer, name=name).ok()
    there("push", name).ok()

    def seen(*options: str) -> str:
        here.build(context, *options).ok()
        return here.run("test", "cat", "/seen").ok().output

    assert seen() == seen("--pull=never") == ""
    assert seen("--pull=newer") == "new\n"
    assert seen("--pull") == seen("--pull=always") == "new\n"
    registry.asked()
    assert seen("--pull=newer") == "new\n"
    assert [method for method, _, _ in registry.asked() if method != "GET"] == ["HEAD"]


def test_a_registry_that_is_gone_does_not_matter_to_what_is_here(
    as_root: Caller, tmp_path: Path
) -> None:
    with docker_registry(tmp_path / "gone") as registry:
        name = f"{registry.host}/app:1"
        built(as_root, name, "--push")
    context = as_root.context(f"FROM {name}\n")
    as_root.pybuild.build(context).ok()
    failed = as_root.pybuild.build(context, "--pull=always")
    assert failed.status == 1
    assert "connection refused" in failed.errors
    assert ">>> FROM" in failed.errors


def test_a_removed_tag_is_not_found(as_root: Caller, registry: DockerRegistry) -> None:
    name = f"{registry.host}/app:1"
    built(as_root, name)
    digest = as_root.pybuild("push", name).ok().output.strip()
    connection = http.client.HTTPConnection("127.0.0.1", registry.port)
    connection.request("DELETE", f"/v2/app/manifests/{digest}")
    assert connection.getresponse().status == 202
    connection.close()
    failed = as_root.empty()("pull", name)
    assert failed.status == 1
    assert f"{name}: not found" in failed.errors
    # It can be pushed again.
    as_root.pybuild("push", name).ok()
    as_root.empty()("pull", f"{registry.host}/app@{digest}").ok()


@needs_tool("skopeo")
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_skopeo_copies_there_is_pulled_and_keeps_its_digest(
    as_root: Caller, registry: DockerRegistry, tools: Tools, tmp_path: Path, form: str
) -> None:
    built(as_root, "app:1")
    archive = as_root.place("archive") / "app.tar"
    as_root.pybuild("save", "--format", "oci-archive", "-o", archive, "app:1").ok()
    name = f"{registry.host}/app:1"
    tools.skopeo(
        "copy", "--dest-tls-verify=false", "--format", form, f"oci-archive:{archive}",
        f"docker://{name}",
    )  # fmt: skip
    digest = json.loads(tools.skopeo("inspect", INSECURE, f"docker://{name}"))["Digest"]
    elsewhere = as_root.empty()
    elsewhere("pull", name).ok()
    assert elsewhere.run(name).output == SAYS
    target = tmp_path / "digest"
    pushed = elsewhere("push", "--digestfile", target, name, f"{registry.host}/new:1").ok()
    assert pushed.output == f"{digest}\n"
    assert target.read_text() == digest


@needs_tool("skopeo")
@pytest.mark.parametrize("options", [
    (), ("--compression", "zstd", "--force-compression"), ("--format", "docker"),
    ("--compression", "uncompressed", "--force-compression"),
])  # fmt: skip
def test_skopeo_copies_what_is_pushed(
    as_root: Caller, registry: DockerRegistry, tools: Tools, tmp_path: Path, options: tuple[str]
) -> None:
    if "zstd" in options:
        pytest.importorskip("zstandard")
    image = built(as_root, "app:1")
    name = f"{registry.host}/app:1"
    digest = as_root.pybuild("push", *options, "app:1", name).ok().output.strip()
    tools.skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{tmp_path}/image")
    manifest = json.loads((tmp_path / "image/manifest.json").read_bytes())
    assert manifest["config"]["digest"] == image
    inspected = json.loads(tools.skopeo("inspect", INSECURE, f"docker://{name}"))
    assert inspected["Digest"] == digest
    assert as_root.empty()("pull", name).ok().output == f"{image}\n"


@needs_tool("podman")
def test_podman_pulls_and_runs_what_is_pushed(
    as_root: Caller, registry: DockerRegistry, tools: Tools
) -> None:
    name = f"{registry.host}/app:1"
    image = built(as_root, name, "--push")
    assert f"sha256:{tools.podman('pull', '-q', INSECURE, name).strip()}" == image
    assert tools.podman_run(name) == SAYS


@needs_tool("buildah")
def test_buildah_builds_on_what_is_pushed_and_the_other_way_round(
    as_root: Caller, registry: DockerRegistry, tools: Tools
) -> None:
    name = f"{registry.host}/app:1"
    built(as_root, name, "--push")
    container = tools.buildah("from", INSECURE, name).strip()
    tools.buildah("config", "--env", "WHO=buildah", container)
    tools.buildah("commit", "--format", "docker", container, "docker-made")
    tools.buildah("push", INSECURE, "docker-made", f"docker://{registry.host}/made:1")
    assert as_root.empty()("run", f"{registry.host}/made:1").ok().output == SAYS.replace(
        "somebody", "buildah"
    )


def test_logins_are_kept_and_forgotten(caller: Caller, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "private", logins=True) as registry:
        name = f"{registry.host}/app:1"
        pybuild = caller.fresh()
        refused = pybuild("push", "busybox", name)
        assert refused.status == 1
        assert f"pybuild login {registry.host}" in refused.errors
        login = ("login", "-u", USER, "--password-stdin", registry.host)
        wrong = pybuild(*login, stdin="wrong")
        assert (wrong.status, "wrong" in wrong.errors + wrong.output) == (1, False)
        assert "Login Succeeded" in pybuild(*login, stdin=f"{PASSWORD}\n").ok().output
        assert pybuild("login", "--get-login", registry.host).ok().output == f"{USER}\n"
        pybuild("push", "busybox", name).ok()
        pybuild("pull", name).ok()
        credentials = f"{USER}:{PASSWORD}"
        elsewhere = caller.empty()
        elsewhere("pull", "--creds", credentials, name).ok()
        pybuild("logout", registry.host).ok()
        assert pybuild("pull", name).status == 1
        (kept,) = pybuild.cwd.glob(".docker/config.json")
        assert PASSWORD not in kept.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_hangs_is_ended_by_a_signal(
    as_root: Caller, misbehaving: Misbehaving, number: signal.Signals
) -> None:
    layer = bytes(1 << 20)
    misbehaving.image(layer)
    pybuild = as_root.empty()
    processes: list[subprocess.Popen[bytes]] = []

    def hang(exchange: Exchange) -> None:
        processes[0].send_signal(number)
        faults.stall(layer, 100_000)(exchange)

    config, data = sorted(misbehaving.blobs.items(), key=lambda pair: len(pair[1]))[1]
    assert len(data) == len(layer)
    misbehaving.fault(f"GET .*{config}", hang)
    with pybuild.start("pull", f"{misbehaving.host}/app:1") as process:
        processes.append(process)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, errors
    assert b"Traceback" not in errors
    assert pybuild("images", "-q").ok().output == ""
    pybuild("fsck", "--full").ok()


def test_no_image_comes_of_a_layer_that_is_another_one(
    as_root: Caller, misbehaving: Misbehaving
) -> None:
    misbehaving.image(bytes(10240), bytes(20480))
    digest = max(misbehaving.blobs, key=lambda name: len(misbehaving.blobs[name]))
    misbehaving.fault(digest, faults.body(b"x" * 20480))
    pybuild = as_root.empty()
    failed = pybuild("pull", f"{misbehaving.host}/app:1")
    assert failed.status == 1
    assert "Traceback" not in failed.errors
    assert pybuild("images", "-q").ok().output == ""
    pybuild("fsck", "--full").ok()
    misbehaving.faults.clear()
    pybuild("pull", f"{misbehaving.host}/app:1").ok()


def test_an_image_for_another_platform_is_told_of(
    as_root: Caller, misbehaving: Misbehaving
) -> None:
    misbehaving.image(bytes(10240))
    pybuild = as_root.empty()
    told = pybuild("pull", "--platform", "linux/s390x", f"{misbehaving.host}/app:1").ok()
    assert "is for linux/amd64, not for linux/s390x" in told.errors
