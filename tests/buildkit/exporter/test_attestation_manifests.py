"""Attestations among the entries of an index go where the index goes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildkit.archive.combine import Combiner, combined
from buildkit.archive.load import load
from buildkit.archive.members import open_members
from buildkit.archive.take import Taker
from buildkit.errors import ImageError
from buildkit.exporter.index import stored_index
from buildkit.exporter.layout import open_layout
from buildkit.exporter.oci import NamedIndex, write_oci
from buildkit.exporter.registry_index import push_index
from buildkit.gc import Policy, prune
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.media_types import INDEX
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, Warned
from buildkit.registry.client import Registry
from buildkit.snapshot.compression import compressor
from tests.buildkit.exporter.stock import Stock
from tests.buildkit.snapshot.tars import Tar
from tests.registry import CONFIG, MANIFEST, described, document, running
from tests.registry import Registry as Server

GZIP = compressor("gzip")
STATEMENT = document({"_type": "https://in-toto.io/Statement/v1", "predicateType": "of BuildKit"})


class There(Server):
    """A registry with an index of two images, about each of which there is an attestation."""

    def __init__(self, statement: bytes = STATEMENT) -> None:
        super().__init__()
        self.statement = statement
        entries, said = [], []
        for machine in ("amd64", "arm64"):
            layer = Tar().add(machine, data=machine.encode()).finished()
            digest = self.image(layer, tag=machine, platform=("linux", machine))
            platform = {"os": "linux", "architecture": machine}
            entries.append(self._entry(digest, platform))
            said.append(self._attestation(digest, machine))
        self.data = document({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries + said})
        self.index = Digest.parse(self.manifest(self.data, "1", INDEX))
        self.subjects = [Digest.parse(one["digest"]) for one in entries]
        self.attestations = [Digest.parse(one["digest"]) for one in said]
        self.reference = Reference.parse(f"{self.host}/app:1")

    def blobs_of(self, tag: str) -> list[str]:
        """Return the digests of config and layers."""
        manifest = json.loads(self.manifests["app", tag][1])
        return [one["digest"] for one in (manifest["config"], *manifest["layers"])]

    def _entry(self, digest: str, platform: dict[str, str]) -> dict[str, Any]:
        size = len(self.manifests["app", digest][1])
        return {**described(MANIFEST, digest, size), "platform": platform}

    def _attestation(self, about: str, machine: str) -> dict[str, Any]:
        config = document({"architecture": "unknown", "os": "unknown", "of": machine})
        digest = self.blob(self.statement)
        statement = described("application/vnd.in-toto+json", digest, len(self.statement))
        data = document(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": described(CONFIG, self.blob(config), len(config)),
                "layers": [{**statement, "annotations": {"in-toto.io/predicate-type": "x"}}],
            }
        )
        annotations = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": about,
        }
        entry = self._entry(self.manifest(data, machine + "-said"), {})
        platform = {"architecture": "unknown", "os": "unknown"}
        return {**entry, "annotations": annotations, "platform": platform}


@pytest.fixture
def server() -> Iterator[There]:
    registry = There()
    yield registry
    registry.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Registry]:
    with Cancel() as cancel, Registry(cancel, environment={"HOME": str(tmp_path)}) as found:
        yield found


def pulled(stock: Stock, client: Registry, server: There) -> list[Event]:
    """Pull the index; return what is told of it."""
    events: list[Event] = []
    assert Combiner(stock, client, events.append).pull_all(server.reference) == server.index
    return events


def pushed(stock: Stock, client: Registry, index: Digest, *, force: bool = False) -> Server:
    """Push an index of the store to an empty registry; return that, closed."""
    with running() as other:
        names = (Reference.parse(f"{other.host}/app:2"),)
        leaving = stored_index(
            index, names, stock.images, stock.blobs, stock.forms, GZIP, force=force
        )
        push_index(client, leaving, stock.root, stock.forms, stock.blobs, lambda _: None)
        return other


def whole(server: Server) -> Index:
    """Return the index in a registry, all that it names being there."""
    kind, data = server.manifests["app", "2"]
    assert kind == INDEX
    index = Index.parse(data)
    for entry in index.manifests:
        manifest = json.loads(server.manifests["app", entry.digest][1])
        for blob in (manifest["config"], *manifest["layers"]):
            assert blob["digest"] in server.repositories["app"]
    return index


def test_they_are_pulled_and_pushed_with_the_index(
    stock: Stock, client: Registry, server: There
) -> None:
    pulled(stock, client, server)
    prune(stock.root, Policy(steps="all"))
    other = pushed(stock, client, server.index)
    assert len(whole(other).manifests) == 4
    assert other.manifests["app", "2"][1] == server.data


def test_they_are_saved_and_loaded_with_the_index(
    stock: Stock, other: Stock, client: Registry, server: There, tmp_path: Path
) -> None:
    pulled(stock, client, server)
    index = stored_index(
        server.index, (server.reference,), stock.images, stock.blobs, stock.forms, GZIP
    )
    with open_layout(str(tmp_path / "a.tar"), as_tar=True) as layout:
        write_oci(layout, (), stock.forms, stock.blobs, GZIP, indexes=(index,))
    with open_members(str(tmp_path / "a.tar"), other.root) as members:
        (image,) = load(members, Taker(other.snapshots, other.blobs, other.forms))
    for part in image.parts:
        other.images.add(part.data, manifest=part.manifest)
    assert other.images.add_index(image.index_blob, image.names) == server.index
    assert pushed(other, client, server.index).manifests["app", "2"][1] == server.data


def saved(stock: Stock, index: NamedIndex, path: Path) -> bytes:
    """Write an archive of an index; return it."""
    with open_layout(str(path), as_tar=True) as layout:
        write_oci(layout, (), stock.forms, stock.blobs, GZIP, indexes=(index,))
    return path.read_bytes()


def test_an_index_of_one_image_and_what_is_said_of_it_stays_one(
    stock: Stock, other: Stock, client: Registry, server: There, tmp_path: Path
) -> None:
    names = (Reference.parse("app:1"),)
    (_, arm) = Combiner(stock, client, lambda _: None).sources(str(server.reference))
    archive = saved(stock, combined([arm], names, ()), tmp_path / "a.tar")
    with open_members(str(tmp_path / "a.tar"), other.root) as members:
        taker = Taker(other.snapshots, other.blobs, other.forms)
        (image,) = load(members, taker)
        (alone,) = load(members, taker, Platform.parse("linux/arm64"))
        with pytest.raises(ImageError, match="no image for linux/amd64"):
            load(members, taker, Platform.parse("linux/amd64"))
    assert (alone.digest, alone.names, alone.parts) == (image.digest, names, ())
    other.images.add(image.data, manifest=image.manifest)
    digest = other.images.add_index(image.index_blob, image.names)
    # Like an image in no index it is taken whatever machine this is.
    assert other.images.find("app:1").config_digest == image.digest
    prune(other.root, Policy(steps="all"))
    index = stored_index(digest, names, other.images, other.blobs, other.forms, GZIP)
    assert saved(other, index, tmp_path / "b.tar") == archive


def test_an_index_that_is_put_together_has_those_of_its_images(
    stock: Stock, client: Registry, server: There
) -> None:
    combiner = Combiner(stock, client, lambda _: None)
    sources = combiner.sources(str(server.reference))
    both = Index.parse(combined(sources, [], ()).data)
    assert [one.digest for one in both.manifests[2:]] == server.attestations
    (_, arm) = sources
    one = combined([arm], [], ())
    assert [about.entry.digest for about in one.attestations] == server.attestations[1:]


def test_what_is_about_another_manifest_stays_behind(
    stock: Stock, client: Registry, server: There
) -> None:
    pulled(stock, client, server)
    index = whole(pushed(stock, client, server.index, force=True))
    assert [str(one.platform) for one in index.manifests] == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize("fault", ["lost", "damaged"])
def test_one_that_cannot_be_had_is_left_with_a_warning(
    stock: Stock, client: Registry, server: There, fault: str
) -> None:
    lost = server.blobs_of("arm64-said")[0]
    if fault == "lost":
        server.repositories["app"].remove(lost)
    else:
        server.blobs[lost] = server.blobs[lost].replace(b"arm64", b"arm46")
    events = pulled(stock, client, server)
    (warning,) = [event.message for event in events if isinstance(event, Warned)]
    assert warning.startswith(f"attestation {server.attestations[1]} was left")
    index = whole(pushed(stock, client, server.index))
    assert [one.digest for one in index.manifests[2:]] == server.attestations[:1]
