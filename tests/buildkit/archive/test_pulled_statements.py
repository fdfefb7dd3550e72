"""What a registry has about an image comes with it when it is asked for."""

import json

import pytest

from buildkit.archive.pulled_statements import pull_statements
from buildkit.attestation.kept import kept
from buildkit.attestation.statement import IN_TOTO, artifact_of, statement_of
from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.media_types import INDEX, MANIFEST
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, Note
from buildkit.registry.client import Registry
from buildkit.registry.referrers import tag_of
from buildkit.registry.statements import statements_of
from tests.buildkit.exporter.stock import Stock
from tests.buildkit.exporter.test_attestation_manifests import There
from tests.registry import Registry as Server
from tests.registry import running

IMAGE = Digest.of(b"config")


def told(stock: Stock, *statements: bytes, damaged: bool = False) -> list[str]:
    """Pull what a registry has about an image; return what is told of it."""
    with running() as server:
        subject = Descriptor(MANIFEST, Digest.parse(server.image()), 5)
        _hold(server, subject, statements, damaged=damaged)
        events: list[Event] = []
        reference = Reference.parse(f"{server.host}/app:1")
        with Cancel() as cancel, Registry(cancel, None, {}) as registry:
            pull_statements(registry, reference, {subject.digest: IMAGE}, stock, events.append)
    return [event.message for event in events if isinstance(event, Note)]


def _hold(
    server: Server, subject: Descriptor, statements: tuple[bytes, ...], *, damaged: bool
) -> None:
    artifacts = [artifact_of(statement, subject) for statement in statements]
    for artifact in artifacts:
        for blob in artifact.blobs:
            server.blob(blob)
        server.manifest(artifact.manifest, tag=str(artifact.descriptor.digest))
        if damaged:
            server.blobs[Digest.of(artifact.statement)] = artifact.statement.replace(b"1", b"2")
    tag = tag_of(subject.digest)
    server.manifest(Index(tuple(one.descriptor for one in artifacts)).encode(), tag, INDEX)


def test_each_kind_is_kept_with_the_image_as_its_subject(stock: Stock) -> None:
    lines = told(
        stock,
        statement_of("sbom", {"a": 1}, IMAGE),
        statement_of("provenance", {"b": 1}, IMAGE),
        statement_of("sbom", {"a": 2}, IMAGE),
    )
    assert lines == [
        f"kept {kind} about {IMAGE.hex[:12]}" for kind in ("sbom", "provenance", "sbom")
    ]
    found = {one.kind: stock.blobs.read(one.statement) for one in kept(stock.root, IMAGE)}
    assert found == {
        "sbom": statement_of("sbom", {"a": 2}, IMAGE),
        "provenance": statement_of("provenance", {"b": 1}, IMAGE),
    }


def test_what_the_store_does_not_know_stays_where_it_is(stock: Stock) -> None:
    foreign = json.loads(statement_of("sbom", {}, IMAGE))
    foreign["predicateType"] = "https://spdx.dev/Document"
    (left, none) = told(stock, json.dumps(foreign).encode())
    assert left.endswith("a 'https://spdx.dev/Document'")
    assert none.startswith("no attestation about")
    assert kept(stock.root) == ()


def test_a_damaged_statement_is_refused(stock: Stock) -> None:
    with pytest.raises(ImageError, match="its statement is not"):
        told(stock, statement_of("sbom", {"a": 1}, IMAGE), damaged=True)
    assert kept(stock.root) == ()


def test_what_stands_within_an_index_is_kept_too(stock: Stock) -> None:
    server = There(statement_of("provenance", {"by": "BuildKit"}, IMAGE))
    try:
        with Cancel() as cancel, Registry(cancel, None, {}) as registry:
            subject = server.subjects[1]
            pull_statements(registry, server.reference, {subject: IMAGE}, stock, lambda _: None)
            found = statements_of(registry, server.reference, IN_TOTO, 1 << 20)
            assert [platform for _, platform, _ in found] == ["linux/amd64", "linux/arm64"]
    finally:
        server.close()
    (one,) = kept(stock.root, IMAGE)
    assert stock.blobs.read(one.statement) == server.statement
