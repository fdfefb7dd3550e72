"""Pushing blobs and manifests to registries that behave, and to others."""

from collections.abc import Iterator
from functools import partial

import pytest

from buildkit.errors import BuildError, StoreError
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.events import Event, Moved
from buildkit.registry import uploads
from buildkit.registry.client import Access
from buildkit.registry.credential_helper import Credentials
from buildkit.registry.errors import NotFoundError, RegistryError
from buildkit.registry.push import Parcel, push_blobs
from tests import registry_faults as faults
from tests.buildkit.registry.conftest import QUICK, Open, named
from tests.registry import MANIFEST, Act, Exchange, digest_of, document
from tests.registry import Registry as Server

BLOB = bytes(range(256)) * 4000
DIGEST = digest_of(BLOB)


def parcel(data: bytes = BLOB, elsewhere: str = "", digest: str = "") -> Parcel:
    def opened(offset: int) -> Iterator[bytes]:
        for start in range(offset, len(data), 50_000):
            yield data[start : start + 50_000]

    name = Digest.parse(digest or digest_of(data))
    return Parcel(name, len(data), opened, "the layer", elsewhere)


def _as_it_is(made: Parcel) -> Parcel:
    return made


def push(client: Open, server: Server, *parcels: Parcel) -> list[Event]:
    registry = client()
    events: list[Event] = []
    repository = registry.home(named(server))
    makers = [partial(_as_it_is, one) for one in parcels]
    push_blobs(registry, repository, makers, events.append)
    return events


def test_a_blob_is_sent_in_one_piece(server: Server, client: Open) -> None:
    events = push(client, server, parcel())
    assert server.blobs[DIGEST] == BLOB
    assert [asked.method for asked in server.asked[1:]] == ["HEAD", "POST", "PUT"]
    assert events[-1] == Moved("the layer", len(BLOB), len(BLOB))


def test_an_empty_blob_is_sent_too(server: Server, client: Open) -> None:
    push(client, server, parcel(b""))
    assert server.blobs[digest_of(b"")] == b""


def test_what_is_there_is_not_sent(server: Server, client: Open) -> None:
    server.blob(BLOB)
    push(client, server, parcel())
    assert [asked.method for asked in server.asked[1:]] == ["HEAD"]


def test_what_another_repository_has_is_mounted(server: Server, client: Open) -> None:
    server.blob(BLOB, "team/other")
    push(client, server, parcel(elsewhere="team/other"))
    assert DIGEST in server.repositories["app"]
    assert "PUT" not in {asked.method for asked in server.asked}


def test_what_cannot_be_mounted_is_sent(server: Server, client: Open) -> None:
    push(client, server, parcel(elsewhere="team/other"))
    assert server.blobs[DIGEST] == BLOB


def test_what_is_too_large_in_one_piece_is_sent_in_chunks(
    server: Server, client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 100_000)
    server.chunk_limit = 100_000
    push(client, server, parcel())
    assert server.blobs[DIGEST] == BLOB
    assert [asked.method for asked in server.asked].count("PATCH") == 11


OVERCOME = [
    ("503 to begin", "POST", faults.status(503)),
    ("a reset to begin", "POST", faults.broken),
    ("500 at the end", "PUT .*uploads", faults.status(500)),
    ("a reset in the middle", "PUT .*uploads", faults.broken),
    ("an answer that never comes", "PUT .*uploads", faults.silence),
    ("429", "PUT .*uploads", faults.status(429, {"Retry-After": "0"})),
    ("an upload that is gone", "PUT .*uploads", faults.status(404)),
    ("a HEAD that fails", "HEAD", faults.status(502)),
]


@pytest.mark.parametrize(("pattern", "act"), [row[1:] for row in OVERCOME],
                         ids=[row[0] for row in OVERCOME])  # fmt: skip
def test_what_passes_is_overcome(server: Server, client: Open, pattern: str, act: Act) -> None:
    server.fault(pattern, act, times=2)
    registry = client(limits=QUICK._replace(commit=0.5))
    push_blobs(registry, registry.home(named(server)), [parcel], lambda _: None)
    assert server.blobs[DIGEST] == BLOB


@pytest.mark.parametrize("fails", ["PATCH", "GET .*uploads"])
def test_chunks_go_on_where_they_stopped(
    server: Server, client: Open, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 300_000)
    server.chunk_limit = 300_000
    server.fault(fails, faults.status(500), times=2)
    push(client, server, parcel())
    assert server.blobs[DIGEST] == BLOB


FATAL = [
    ("403", "POST", faults.status(403), "forbids pushing"),
    ("read-only", "POST", faults.status(405), r"does not do this \(405\): pushing"),
    ("a refused blob", "PUT .*uploads", faults.status(400, message="digest invalid"),
     "status 400: digest invalid"),
    ("always 500", "PUT .*uploads", faults.status(500), r"status 500 .*tried 4 times"),
    ("no place to send to", "POST", faults.status(202), "does not say where"),
    ("a strange place", "POST", faults.status(202, {"Location": "gopher://x/y"}), "no place"),
    ("too large for ever", "(PUT|PATCH) .*uploads", faults.status(413), "status 413"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "act", "message"), [row[1:] for row in FATAL],
                         ids=[row[0] for row in FATAL])  # fmt: skip
def test_what_lasts_is_one_clear_error(
    server: Server, client: Open, pattern: str, act: Act, message: str
) -> None:
    server.fault(pattern, act)
    with pytest.raises(RegistryError, match=message):
        push(client, server, parcel())


def test_what_is_not_its_digest_is_refused_by_the_registry(server: Server, client: Open) -> None:
    with pytest.raises(RegistryError, match="did not match"):
        push(client, server, parcel(digest=digest_of(b"something else")))


def test_a_blob_that_cannot_be_read_fails_the_push(server: Server, client: Open) -> None:
    def damaged(offset: int) -> Iterator[bytes]:
        yield BLOB[:100_000]
        raise StoreError("blob is damaged")

    with pytest.raises(BuildError, match="blob is damaged"):
        push(client, server, parcel()._replace(open=damaged))
    assert DIGEST not in server.blobs


def test_a_place_to_send_to_elsewhere_gets_no_credentials(
    server: Server, other: Server, client: Open
) -> None:
    def elsewhere(exchange: Exchange) -> None:
        other.uploads["x"] = b""
        exchange.body()
        exchange.answer(202, {"Location": f"http://{other.host}/v2/app/blobs/uploads/x"})

    server.challenge = "Basic"
    server.allow = lambda exchange: "Authorization" in exchange.headers
    server.fault("POST", elsewhere, times=1)
    server.faults[-1].left = 0
    registry = client(Access(given=Credentials("joe", "secret")))
    registry.home(named(server)).has_blob(Digest.parse(DIGEST))
    server.faults[-1].left = 1
    push_blobs(registry, registry.home(named(server)), [parcel], lambda _: None)
    assert other.blobs[DIGEST] == BLOB
    assert {asked.headers.get("Authorization") for asked in other.asked} == {None}


def test_manifests_are_put_found_and_removed(server: Server, client: Open) -> None:
    repository = client().home(named(server))
    data = document({"schemaVersion": 2, "mediaType": MANIFEST})
    digest = repository.put_manifest("1", data, MANIFEST)
    assert repository.digest_of("1") == digest == digest_of(data)
    assert repository.manifest(digest).data == data
    repository.delete_manifest("1")
    assert repository.digest_of("1") is None
    with pytest.raises(NotFoundError):
        repository.delete_manifest("1")


def test_a_registry_that_stores_something_else_is_caught(server: Server, client: Open) -> None:
    answer = faults.status(201, {"Docker-Content-Digest": "sha256:" + "0" * 64})
    server.fault("PUT .*manifests", answer)
    with pytest.raises(RegistryError, match="instead of"):
        client().home(named(server)).put_manifest("1", b"{}", MANIFEST)


def test_tags_come_page_by_page(server: Server, client: Open) -> None:
    for tag in ("a", "b", "c", "d", "e"):
        server.image(tag=tag)
    assert list(client().home(named(server)).tags()) == ["a", "b", "c", "d", "e"]


def test_a_mirror_is_not_pushed_to(server: Server, other: Server, client: Open) -> None:
    registry = client(PYBUILD_REGISTRY_MIRRORS=f"{server.host}=http://{other.host}")
    reference = Reference.parse(f"{server.host}/app:1")
    push_blobs(registry, registry.home(reference), [parcel], lambda _: None)
    assert DIGEST in server.blobs
    assert not other.asked
