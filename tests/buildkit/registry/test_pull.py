"""Which image is chosen, from where, and what is fetched of it."""

import json
from pathlib import Path

import pytest

from buildkit.errors import ImageError
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.events import Event, Moved, Warned
from buildkit.registry.errors import NotFoundError, RegistryError
from buildkit.registry.pull import fetch, newest, resolve
from tests import registry_faults as faults
from tests.buildkit.registry.conftest import Open, named
from tests.buildkit.registry.taker import MemoryTaker
from tests.registry import MANIFEST, described, digest_of, document
from tests.registry import Registry as Server

AMD64 = Platform("linux", "amd64")
INDEX = "application/vnd.oci.image.index.v1+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def index(server: Server, *platforms: dict[str, str], kind: str = INDEX, tag: str = "multi") -> str:
    """Hold an index with an image for each platform; its layer is the platform as text."""
    entries = []
    for platform in platforms:
        layer = json.dumps(platform).encode()
        digest = server.image(layer, tag="-", platform=(platform["os"], platform["architecture"]))
        size = len(server.manifests["app", digest][1])
        entries.append({**described(MANIFEST, digest, size), "platform": platform})
    data = document({"schemaVersion": 2, "mediaType": kind, "manifests": entries})
    return server.manifest(data, tag, kind)


@pytest.mark.parametrize("kind", [INDEX, LIST])
@pytest.mark.parametrize("wanted", ["linux/arm64", "linux/amd64"])
def test_the_image_for_the_platform_is_chosen(
    server: Server, client: Open, wanted: str, kind: str
) -> None:
    top = index(
        server,
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
        kind=kind,
    )
    platform = Platform.parse(wanted)
    chosen = resolve(client(), named(server, "multi"), platform, lambda _: None)
    assert chosen.config.platform.architecture == platform.architecture
    assert chosen.top == top


def test_a_platform_that_is_not_there_names_those_that_are(server: Server, client: Open) -> None:
    index(server, {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm"})
    with pytest.raises(ImageError, match="no image for linux/s390x") as raised:
        resolve(client(), named(server, "multi"), Platform("linux", "s390x"), lambda _: None)
    assert "linux/amd64, linux/arm/v7" in raised.value.hint


def test_an_entry_of_an_index_that_lies_about_its_size_is_refused(
    server: Server, client: Open
) -> None:
    digest = server.image(b"layer")
    data = document({"mediaType": INDEX, "manifests": [described(MANIFEST, digest, 10)]})
    server.manifest(data, "bad", INDEX)
    with pytest.raises((ImageError, RegistryError), match="10 bytes"):
        resolve(client(), named(server, "bad"), AMD64, lambda _: None)


def test_a_docker_manifest_is_taken(server: Server, client: Open) -> None:
    digest = server.image(b"layer")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    document_of = json.loads(server.manifests["app", digest][1])
    document_of["mediaType"] = kind
    for layer in document_of["layers"]:
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    server.manifest(document(document_of), "docker", kind)
    chosen = resolve(client(), named(server, "docker"), AMD64, lambda _: None)
    assert chosen.document.media_type == kind


def test_a_manifest_without_a_media_type_is_known_by_the_header(
    server: Server, client: Open
) -> None:
    digest = server.image(b"layer")
    manifest = json.loads(server.manifests["app", digest][1])
    del manifest["mediaType"]
    server.manifest(document(manifest), "bare", "application/json")
    assert resolve(client(), named(server, "bare"), AMD64, lambda _: None).config.diff_ids


def test_layers_that_are_here_are_not_fetched(server: Server, client: Open) -> None:
    layers = [b"one" * 100, b"two" * 100, b"one" * 100]
    server.image(*layers)
    registry = client()
    chosen = resolve(registry, named(server), AMD64, lambda _: None)
    taker = MemoryTaker()
    taker.layers[Digest.of(layers[0])] = layers[0]
    events: list[Event] = []
    fetch(chosen, registry, taker, events.append)
    assert set(taker.layers.values()) == set(layers)
    fetched = [line for line in server.lines() if "/blobs/" in line]
    assert fetched == [
        f"GET /v2/app/blobs/{chosen.digest}",
        f"GET /v2/app/blobs/{digest_of(layers[1])}",
    ]
    assert [event.done for event in events if isinstance(event, Moved)] == [300]


def test_a_name_is_looked_up_without_fetching_it(server: Server, client: Open) -> None:
    digest = server.image(b"layer")
    registry = client()
    assert newest(registry, named(server)) == digest
    assert newest(registry, named(server, "nope")) is None
    assert {asked.method for asked in server.asked[1:]} == {"HEAD"}


def test_what_is_not_there_is_told_with_its_name(server: Server, client: Open) -> None:
    with pytest.raises(NotFoundError) as raised:
        resolve(client(), named(server, "nope"), AMD64, lambda _: None)
    assert raised.value.message.startswith(f"{server.host}/app:nope: not found")


def mirrored(server: Server) -> str:
    return f"docker.io=http://{server.host}"


def test_a_mirror_stands_for_the_hub(server: Server, client: Open) -> None:
    server.image(b"layer", repository="library/debian", tag="12")
    registry = client(PYBUILD_REGISTRY_MIRRORS=mirrored(server))
    chosen = resolve(registry, Reference.parse("debian:12"), AMD64, lambda _: None)
    taker = MemoryTaker()
    fetch(chosen, registry, taker, lambda _: None)
    assert list(taker.layers.values()) == [b"layer"]


def test_mirrors_are_asked_in_order_until_one_has_it(
    server: Server, other: Server, client: Open
) -> None:
    server.fault(".", faults.status(500))
    other.image(b"layer", repository="library/debian", tag="12")
    mirrors = f"{mirrored(server)},{mirrored(other)}"
    events: list[Event] = []
    chosen = resolve(
        client(PYBUILD_REGISTRY_MIRRORS=mirrors),
        Reference.parse("debian:12"),
        AMD64,
        events.append,
    )
    assert chosen.config.diff_ids
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert server.host in warning.message


def test_a_layer_that_a_mirror_has_damaged_comes_from_the_registry(
    server: Server, other: Server, client: Open
) -> None:
    server.image(b"layer" * 1000)
    other.image(b"layer" * 1000)
    other.fault(digest_of(b"layer" * 1000), faults.body(b"LAYER" * 1000))
    registry = client(PYBUILD_REGISTRY_MIRRORS=f"{server.host}=http://{other.host}")
    taker = MemoryTaker()
    fetch(resolve(registry, named(server), AMD64, lambda _: None), registry, taker, lambda _: None)
    assert list(taker.layers.values()) == [b"layer" * 1000]


def test_where_a_manifest_says_a_layer_is_nobody_is_asked(
    server: Server, other: Server, client: Open
) -> None:
    digest = server.image(b"layer")
    manifest = json.loads(server.manifests["app", digest][1])
    manifest["layers"][0]["urls"] = [f"http://user:word@{other.host}/layer"]
    server.manifest(document(manifest))
    registry = client()
    chosen = resolve(registry, named(server), AMD64, lambda _: None)
    taker = MemoryTaker()
    # The registry has it: then where else it may be does not matter.
    fetch(chosen, registry, taker, lambda _: None)
    assert list(taker.layers.values()) == [b"layer"]
    server.repositories["app"].discard(digest_of(b"layer"))
    del server.blobs[digest_of(b"layer")]
    with pytest.raises(
        ImageError, match=r"to be had from 127\.0\.0\.1, which is not asked"
    ) as raised:
        fetch(chosen, registry, MemoryTaker(), lambda _: None)
    assert "word" not in str(raised.value)
    assert other.asked == []


def test_a_blocked_registry_is_not_asked(server: Server, client: Open, tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nprefix = "{server.host}"\nblocked = true\n')
    with pytest.raises(RegistryError, match="is blocked"):
        resolve(client(CONTAINERS_REGISTRIES_CONF=str(conf)), named(server), AMD64, lambda _: None)
    assert not server.asked


def test_a_proxy_is_asked_for_hosts_elsewhere(server: Server, client: Open, tmp_path: Path) -> None:
    server.image(b"layer")
    conf = tmp_path / "registries.conf"
    conf.write_text('[[registry]]\nlocation = "http://registry.example"\n')
    environment = {"CONTAINERS_REGISTRIES_CONF": str(conf), "HTTP_PROXY": f"http://{server.host}"}
    reference = Reference.parse("registry.example/app:1")
    chosen = resolve(client(**environment), reference, AMD64, lambda _: None)
    assert chosen.config.diff_ids
    assert {asked.headers["Host"] for asked in server.asked} == {"registry.example"}
