"""Registries that misbehave: each fault ends in success or in one clear error."""

import json
import re
from typing import Any

import pytest

from buildkit.errors import BuildError, Cancelled, ImageError
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event
from buildkit.registry.client import Registry
from buildkit.registry.pull import Chosen, fetch, resolve
from tests import registry_faults as faults
from tests.buildkit.registry.conftest import QUICK, Open, named
from tests.buildkit.registry.taker import MemoryTaker
from tests.registry import MANIFEST, Act, Exchange, described, digest_of, document
from tests.registry import Registry as Server

AMD64 = Platform("linux", "amd64")
LAYER = bytes(range(256)) * 2000
DIGEST = digest_of(LAYER)


def pull(client: Registry, server: Server, tag: str = "1") -> tuple[Chosen, dict[Digest, bytes]]:
    events: list[Event] = []
    taker = MemoryTaker()
    chosen = resolve(client, named(server, tag), AMD64, events.append)
    fetch(chosen, client, taker, events.append)
    return chosen, taker.layers


OVERCOME: list[tuple[str, str, Act]] = [
    ("a blob that breaks off", "GET .*/blobs/", faults.cut(LAYER, 100_000)),
    ("a reset within a blob", "GET .*/blobs/", faults.cut(LAYER, 100_000, reset=True)),
    ("a blob that stops coming", "GET .*/blobs/", faults.stall(LAYER, 70_000)),
    ("a blob that drips", "GET .*/blobs/", faults.drip(0.05, LAYER)),
    ("headers that drip", "GET .*/blobs/", faults.drip(0.05, headers=True)),
    ("no answer", "GET .*/blobs/", faults.silence),
    ("a reset at once", "GET .*/blobs/", faults.broken),
    ("500 for a blob", "GET .*/blobs/", faults.status(500)),
    ("429 for a blob", "GET .*/blobs/", faults.status(429, {"Retry-After": "0"})),
    ("408 for a blob", "GET .*/blobs/", faults.status(408)),
    ("503 for a manifest", "GET .*/manifests/", faults.status(503)),
    ("a reset for a manifest", "GET .*/manifests/", faults.broken),
    ("a manifest cut short", "GET .*/manifests/", faults.cut(b"{" + b" " * 5000, 100)),
    ("429 with a date", "GET .*/manifests/",
     faults.status(429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"})),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "act"), [row[1:] for row in OVERCOME],
                         ids=[row[0] for row in OVERCOME])  # fmt: skip
def test_what_passes_is_overcome(server: Server, client: Open, pattern: str, act: Act) -> None:
    server.image(LAYER)
    blob = f"{pattern}{DIGEST}" if "blobs" in pattern else pattern
    server.fault(blob, act, times=2)
    _, layers = pull(client(), server)
    assert layers == {Digest.of(LAYER): LAYER}


FATAL: list[tuple[str, str, Act, str]] = [
    ("another blob", "GET .*/blobs/", faults.body(LAYER[::-1]), "is not what its digest says"),
    ("a longer blob", "GET .*/blobs/", faults.body(LAYER + b"x"), "instead of the announced"),
    ("a shorter blob", "GET .*/blobs/", faults.body(LAYER[:-1]), "instead of the announced"),
    ("always cut", "GET .*/blobs/", faults.cut(LAYER, 1000), "breaks off|broke"),
    ("always 500", "GET .*/blobs/", faults.status(500, message="so sorry"),
     r"fails with status 500 on layer .*: so sorry \(tried 4 times\)"),
    ("always 429", "GET .*/blobs/", faults.status(429), "too many requests"),
    ("403", "GET .*/blobs/", faults.status(403), "forbids layer"),
    ("400", "GET .*/blobs/", faults.status(400), "status 400"),
    ("404", "GET .*/blobs/", faults.status(404), "not found"),
    ("always silent", "GET .*/blobs/", faults.silence, "stopped answering in time"),
    ("a drip for ever", "GET .*/blobs/", faults.drip(0.02, LAYER), "too slow"),
    ("redirected for ever", "GET .*/blobs/", faults.redirect("{}"), "more than 5 times"),
    ("redirected to a file", "GET .*/blobs/", faults.redirect("file:///etc/passwd"), "no place"),
    ("redirected to nowhere", "GET .*/blobs/", faults.status(302), "to nowhere"),
    ("redirected to plain http", "GET .*/blobs/", faults.redirect("http://10.0.0.1/x"),
     "not marked insecure"),
    ("no HTTP", "GET .*/blobs/", faults.nonsense, "does not speak HTTP"),
    ("manifest without an end", "GET .*/manifests/", faults.endless, "more than 4194304 bytes"),
    ("manifest that is no JSON", "GET .*/manifests/", faults.body(b"<html>"), "not JSON"),
    ("manifest nested deeply", "GET .*/manifests/", faults.body(b'{"a":' * 100_000),
     "nested too deeply|not JSON"),
    ("a file list", "GET .*/manifests/", faults.body(b"[]"), "not an object"),
    ("schema 1", "GET .*/manifests/", faults.body(b'{"schemaVersion":1}'), "schema 1"),
    ("another digest", "GET .*/manifests/",
     faults.body(b'{"schemaVersion":2}', {"Docker-Content-Digest": "sha256:" + "0" * 64}),
     "is announced"),
    ("manifest and index", "GET .*/manifests/",
     faults.body(document({"mediaType": MANIFEST, "manifests": [], "layers": []})),
     "is something else"),
    ("another media type", "GET .*/manifests/",
     faults.body(document({"mediaType": MANIFEST}),
                 {"Content-Type": "application/vnd.oci.image.index.v1+json"}),
     "calls itself"),
    ("an artifact", "GET .*/manifests/",
     faults.body(document({"mediaType": "application/vnd.oci.artifact.manifest.v1+json"})),
     "is no image"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "act", "message"), [row[1:] for row in FATAL],
                         ids=[row[0] for row in FATAL])  # fmt: skip
def test_what_lasts_is_one_clear_error(
    server: Server, client: Open, pattern: str, act: Act, message: str
) -> None:
    server.image(LAYER)
    blob = f"{pattern}{DIGEST}" if "blobs" in pattern else pattern
    server.fault(blob, act)
    with pytest.raises(BuildError, match=message) as raised:
        pull(client(), server)
    assert not isinstance(raised.value, Cancelled)
    assert "\n" not in raised.value.message


def test_a_broken_download_goes_on_where_it_stopped(server: Server, client: Open) -> None:
    server.image(LAYER)
    server.fault(DIGEST, faults.cut(LAYER, 123_456), times=1)
    pull(client(), server)
    ranges = [asked.headers.get("Range") for asked in server.asked if DIGEST in asked.path]
    assert ranges == [None, "bytes=123456-"]


def test_a_server_that_ignores_ranges_is_heard_out(server: Server, client: Open) -> None:
    server.image(LAYER)
    server.fault(DIGEST, faults.cut(LAYER, 123_456), times=1)
    server.fault(DIGEST, faults.body(LAYER), times=1)
    _, layers = pull(client(), server)
    assert layers[Digest.of(LAYER)] == LAYER


@pytest.mark.parametrize(
    "part",
    [f"bytes 0-{len(LAYER) - 1}/{len(LAYER)}", "bytes 5000-9/77", "", "lines 1-2/3", "bytes x"],
)
def test_another_part_than_asked_for_is_not_appended(
    server: Server, client: Open, part: str
) -> None:
    def wrong(exchange: Exchange) -> None:
        exchange.answer(206, {"Content-Range": part}, b"\0" * 400_000)

    server.image(LAYER)
    server.fault(DIGEST, faults.cut(LAYER, 123_456), times=1)
    server.fault(DIGEST, wrong, times=1)
    _, layers = pull(client(), server)
    assert layers[Digest.of(LAYER)] == LAYER


def test_a_redirect_to_another_host_is_followed(
    server: Server, other: Server, client: Open
) -> None:
    server.image(LAYER)
    other.blob(LAYER, "elsewhere")
    server.fault(DIGEST, faults.redirect(f"http://{other.host}/v2/elsewhere/blobs/{DIGEST}"))
    _, layers = pull(client(), server)
    assert layers[Digest.of(LAYER)] == LAYER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "0 layers where the config names 1"),
        ({"layers": [{"digest": DIGEST, "size": 1, "mediaType": "text/plain"}]}, "is no layer"),
        ({"layers": [{"digest": "../../etc/passwd", "size": 1}]}, "layers.0..digest"),
        ({"layers": [{"digest": DIGEST, "size": -1}]}, "negative"),
        ({"config": {"digest": DIGEST, "size": 1 << 40}}, "too large"),
        ({"config": {"digest": DIGEST, "size": 1 << 80}}, "out of range"),
        ({"config": None}, "config: missing"),
        ({"config": {"digest": DIGEST, "size": len(LAYER)}}, "not JSON"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    server: Server, client: Open, change: dict[str, Any], message: str
) -> None:
    digest = server.image(LAYER)
    manifest = json.loads(server.manifests["app", digest][1])
    server.manifest(document({**manifest, **change}), "bad")
    with pytest.raises(ImageError, match=message):
        pull(client(), server, "bad")


def test_indexes_are_followed_only_so_deep(server: Server, client: Open) -> None:
    digest = server.image(LAYER)
    data = server.manifests["app", digest][1]
    kind = MANIFEST
    for _ in range(6):
        entry = described(kind, digest_of(data), len(data))
        kind = "application/vnd.oci.image.index.v1+json"
        data = document({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]})
        server.manifest(data, "deep", kind)
    with pytest.raises(ImageError, match="too deep"):
        pull(client(), server, "deep")


def test_a_wish_to_stop_ends_a_transfer_that_hangs(
    server: Server, client: Open, cancel: Cancel
) -> None:
    def silence(exchange: Exchange) -> None:
        cancel.set(15)
        exchange.wait_until_gone()

    server.image(LAYER)
    server.fault(DIGEST, silence)
    patient = QUICK._replace(stall=600, header=600, window=600)
    with pytest.raises(Cancelled) as raised:
        pull(client(limits=patient), server)
    assert raised.value.signal == 15


def test_a_failed_layer_ends_the_others(server: Server, client: Open) -> None:
    layers = [LAYER, b"2" * 5000, b"3" * 5000]
    server.image(*layers)
    server.fault(DIGEST, faults.silence)
    server.fault(digest_of(layers[2]), faults.status(404))
    patient = QUICK._replace(stall=600, header=600)
    with pytest.raises(BuildError, match="not found"):
        pull(client(limits=patient), server)


def test_no_connection_is_told_with_the_host(client: Open, server: Server) -> None:
    reference = named(server)
    server.close()
    with pytest.raises(BuildError, match=re.escape(server.host)) as raised:
        resolve(client(), reference, AMD64, lambda _: None)
    assert "cannot be reached: connection refused" in raised.value.message
