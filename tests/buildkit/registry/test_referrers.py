import json
from collections.abc import Iterator

import pytest

from buildkit.attestation.statement import artifact_of, statement_of
from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.media_types import INDEX, MANIFEST
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.registry.client import Registry
from buildkit.registry.referrers import attach, referrers, tag_of
from buildkit.registry.repository import Repository
from buildkit.registry.statements import statements_of
from tests.registry import Exchange
from tests.registry import Registry as Server

SUBJECT = Digest.of(b"image")


@pytest.fixture
def repository(server: Server) -> Iterator[Repository]:
    with Cancel() as cancel, Registry(cancel, None, {}) as registry:
        yield registry.home(Reference.parse(f"{server.host}/app"))


def artifact(text: str) -> tuple[bytes, Descriptor]:
    data = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "of": text}).encode()
    return data, Descriptor(MANIFEST, Digest.of(data), len(data), artifact_type="a/b")


def test_a_registry_without_lists_has_them_under_a_tag(
    server: Server, repository: Repository
) -> None:
    assert referrers(repository, SUBJECT) == ()
    (one, first), (two, second) = artifact("one"), artifact("two")
    attach(repository, one, first, SUBJECT)
    attach(repository, two, second, SUBJECT)
    attach(repository, one, first, SUBJECT)
    assert referrers(repository, SUBJECT) == (first, second)
    kind, data = server.manifests["app", tag_of(SUBJECT)]
    assert kind == INDEX
    assert Index.parse(data).manifests == (first, second)


def test_a_registry_that_lists_them_itself_gets_no_tag(
    server: Server, repository: Repository
) -> None:
    data, descriptor = artifact("one")
    answer = Index((descriptor,)).encode()

    def listing(exchange: Exchange) -> None:
        exchange.answer(200, {"Content-Type": INDEX}, answer)

    def noting(exchange: Exchange) -> None:
        exchange.body()
        exchange.answer(201, {"OCI-Subject": str(SUBJECT)})

    server.fault(r"^GET .*/referrers/", listing)
    server.fault(r"^PUT .*/manifests/", noting)
    attach(repository, data, descriptor, SUBJECT)
    assert referrers(repository, SUBJECT) == (descriptor,)
    assert not any(tag_of(SUBJECT) in line for line in server.lines())


def test_an_artifact_about_something_else_is_refused(server: Server) -> None:
    image = server.image()
    kind = "application/vnd.in-toto+json"
    statement = statement_of("sbom", {}, SUBJECT)
    made = artifact_of(statement, Descriptor(MANIFEST, SUBJECT, 5))
    server.manifest(made.manifest, tag="other")
    tag = tag_of(Digest.parse(image))
    server.manifest(Index((made.descriptor,)).encode(), tag=tag, media_type=INDEX)
    reference = Reference.parse(f"{server.host}/app:1")
    with (
        Cancel() as cancel,
        Registry(cancel, None, {}) as registry,
        pytest.raises(ImageError, match="is listed and is about something else"),
    ):
        list(statements_of(registry, reference, kind, 1 << 20))
