"""Images of a store, pushed: what is sent, and which manifest."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.archive.pulled import pull_image
from buildkit.errors import BuildError, UsageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.attributes import parse_output
from buildkit.exporter.oci import NamedImage
from buildkit.exporter.registry import Manner, push_image
from buildkit.exporter.table import export
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.media_types import DOCKER_MANIFEST, MANIFEST
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.registry.client import Registry
from buildkit.snapshot.compression import compressor
from tests import registry_faults as faults
from tests.buildkit.exporter.stock import Stock
from tests.registry import Act, running
from tests.registry import Registry as Server

TREE = (("file etc/motd 0644 1:2 text=hello mtime=7",), ("file new 0644 text=new",))
GZIP = Manner(compressor("gzip"))


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Registry]:
    with Cancel() as cancel, Registry(cancel, environment={"HOME": str(tmp_path)}) as found:
        yield found


def named(stock: Stock, server: Server, *names: str) -> NamedImage:
    return stock.image(*TREE)._replace(
        names=tuple(Reference.parse(f"{server.host}/{name}") for name in names or ("app:1",))
    )


def push(client: Registry, stock: Stock, image: NamedImage, manner: Manner = GZIP) -> Descriptor:
    """Push; return the manifest's descriptor."""
    return push_image(client, image, manner, stock.root, stock.forms, stock.blobs, lambda _: None)


def test_all_of_the_image_is_there(stock: Stock, server: Server, client: Registry) -> None:
    image = named(stock, server)
    written = push(client, stock, image)
    kind, data = server.manifests["app", "1"]
    manifest = json.loads(data)
    assert (kind, manifest["config"]["digest"]) == (MANIFEST, image.digest)
    assert server.blobs[image.digest] == image.data
    assert [layer["digest"] in server.blobs for layer in manifest["layers"]] == [True, True]
    assert gzip.decompress(server.blobs[manifest["layers"][0]["digest"]])
    assert ("app", written.digest) in server.manifests
    # Nobody sees a name before its blobs are there.
    assert server.lines()[-1] == "PUT /v2/app/manifests/1"


def test_each_name_is_given_and_each_repository_filled(
    stock: Stock, server: Server, client: Registry
) -> None:
    push(client, stock, named(stock, server, "app:1", "app:2", "team/app:3"))
    tags = {(where, name) for where, name in server.manifests if ":" not in name}
    assert tags == {("app", "1"), ("app", "2"), ("team/app", "3")}
    uploads = [line for line in server.lines() if line.startswith("PUT") and "/uploads/" in line]
    assert {line.split("/")[2] for line in uploads} == {"app"}


def test_an_image_can_be_pushed_under_no_name_but_its_digest(
    stock: Stock, server: Server, client: Registry
) -> None:
    written = push(client, stock, named(stock, server), GZIP._replace(by_digest=True))
    assert set(server.manifests) == {("app", written.digest)}


@pytest.mark.parametrize(
    ("manner", "kind", "layer"),
    [
        (GZIP, MANIFEST, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (GZIP._replace(docker=True), DOCKER_MANIFEST,
         "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (Manner(compressor("none")), MANIFEST, "application/vnd.oci.image.layer.v1.tar"),
    ],
)  # fmt: skip
def test_media_types_are_those_asked_for(
    stock: Stock, server: Server, client: Registry, manner: Manner, kind: str, layer: str
) -> None:
    push(client, stock, named(stock, server), manner)
    found, data = server.manifests["app", "1"]
    manifest = json.loads(data)
    assert (found, manifest["mediaType"]) == (kind, kind)
    assert {one["mediaType"] for one in manifest["layers"]} == {layer}


def test_annotations_stand_in_the_manifest(stock: Stock, server: Server, client: Registry) -> None:
    push(client, stock, named(stock, server), GZIP._replace(annotations=(("a", "b"),)))
    assert json.loads(server.manifests["app", "1"][1])["annotations"] == {"a": "b"}
    with pytest.raises(UsageError):
        push(
            client, stock, named(stock, server),
            GZIP._replace(annotations=(("a", "b"),), docker=True),
        )  # fmt: skip


@pytest.mark.parametrize("docker", [False, True])
def test_what_was_pulled_leaves_with_its_manifest(
    stock: Stock, other: Stock, server: Server, client: Registry, docker: bool
) -> None:
    manner = Manner(compressor("gzip", 9), docker=docker)
    first = push(client, stock, named(stock, server), manner)
    reference = Reference.parse(f"{server.host}/app:1")
    pulled = pull_image(client, reference, Platform("linux", "amd64"), other, lambda _: None)
    image = other.named(pulled.reference)
    assert push(client, other, image._replace(names=(reference._replace(tag="2"),))) == first
    # But not where another form is asked for.
    asked = GZIP._replace(docker=not docker)
    assert push(client, other, image._replace(names=(reference,)), asked).digest != first.digest


def test_a_damaged_layer_is_not_pushed(stock: Stock, server: Server, client: Registry) -> None:
    image = named(stock, server)
    layer = Path(stock.root.path("layers", image.config.diff_ids[0].hex, "fs"))
    (layer / "etc/motd").write_text("jello")
    with pytest.raises(BuildError, match="damaged"):
        push(client, stock, image)
    assert server.manifests == {}


def test_an_image_needs_a_name(stock: Stock, client: Registry, server: Server) -> None:
    with pytest.raises(UsageError, match="without a name"):
        push(client, stock, named(stock, server)._replace(names=()))


def export_to(stock: Stock, server: Server, attributes: str) -> None:
    image = stock.image(*TREE)
    with Cancel() as cancel:
        export(
            parse_output(attributes.format(server.host)),
            Image(image.config, image.data, image.digest),
            (),
            stock,
            stock.blobs,
            lambda _: None,
            cancel,
        )


@pytest.mark.parametrize("kind", ["type=registry", "type=image,push=true"])
def test_outputs_push(stock: Stock, server: Server, kind: str) -> None:
    export_to(stock, server, kind + ",name={}/app:7")
    assert ("app", "7") in server.manifests


def test_a_push_that_fails_is_an_error_of_the_export(stock: Stock, server: Server) -> None:
    server.fault("PUT .*manifests", faults.status(403))
    with pytest.raises(BuildError, match="forbids pushing") as raised:
        export_to(stock, server, "type=registry,name={}/app:7")
    assert raised.value.exit_code == 4


def test_a_layer_is_sent_while_it_is_compressed(
    stock: Stock, server: Server, client: Registry
) -> None:
    push(client, stock, named(stock, server))
    sent = [asked for asked in server.asked if asked.method == "PATCH"]
    assert [asked.headers["Transfer-Encoding"] for asked in sent] == ["chunked", "chunked"]
    # What is compressed already is looked for first.
    server.asked.clear()
    push(client, stock, named(stock, server, "other:1"))
    assert "PATCH" not in {asked.method for asked in server.asked}


INTERRUPTED = [
    ("no upload", "POST", faults.status(404)),
    ("no chunks", "PATCH", faults.status(501)),
    ("too large", "PATCH", faults.status(413)),
    ("a reset", "PATCH", faults.broken),
    ("another digest", "PUT .*uploads", faults.status(400)),
    ("who are you", "PATCH", faults.status(401, {"WWW-Authenticate": 'Bearer realm="x"'})),
    ("a strange place", "POST", faults.status(202, {"Location": "file:///x"})),
]


@pytest.mark.parametrize(("pattern", "act"), [row[1:] for row in INTERRUPTED],
                         ids=[row[0] for row in INTERRUPTED])  # fmt: skip
def test_what_could_not_be_sent_meanwhile_is_sent_afterwards(
    stock: Stock, server: Server, client: Registry, pattern: str, act: Act
) -> None:
    reference = Reference.parse(f"{server.host}/app:1")
    image = stock.image(("file a 0644 text=a",))._replace(names=(reference,))
    server.blob(image.data)
    server.fault(pattern, act, times=1)
    push(client, stock, image)
    (layer,) = json.loads(server.manifests["app", "1"][1])["layers"]
    assert layer["digest"] in server.blobs


def test_a_layer_that_cannot_be_made_does_not_look_whole(
    stock: Stock, server: Server, client: Registry
) -> None:
    image = named(stock, server)
    for diff_id in image.config.diff_ids:
        layer = Path(stock.root.path("layers", diff_id.hex, "fs"))
        (layer / "more").write_text("more")
    with pytest.raises(BuildError, match="damaged"):
        push(client, stock, image)
    assert set(server.blobs) <= {image.digest}
