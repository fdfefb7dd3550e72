"""Indexes put together of images of the store and of a registry."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.archive.combine import Combiner, combined, replacing
from buildkit.errors import BuildError, UsageError
from buildkit.exporter.annotations import Annotation
from buildkit.exporter.assemble import Image
from buildkit.exporter.index import add_index
from buildkit.exporter.registry_index import push_index
from buildkit.image_list import listed
from buildkit.oci.index import Index
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.registry.client import Registry
from tests import schemas
from tests.buildkit.exporter.stock import PLATFORM, Stock
from tests.registry import Registry as Server
from tests.registry import running

ARM64 = Platform("linux", "arm64")


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Registry]:
    with Cancel() as cancel, Registry(cancel, environment={"HOME": str(tmp_path)}) as found:
        yield found


@pytest.fixture
def combiner(stock: Stock, client: Registry) -> Combiner:
    """Finds `one` for amd64 and `two` for arm64."""
    for name, platform in (("one", PLATFORM), ("two", ARM64)):
        config = stock.image((f"file {name} 0644 text={name}",), name="").config
        made = Image.of(config._replace(platform=platform))
        stock.images.add(made.data, [Reference.parse(name)])
    return Combiner(stock, client, lambda _: None)


def name(text: str) -> Reference:
    return Reference.parse(text)


def test_images_of_the_store_become_an_index(stock: Stock, combiner: Combiner) -> None:
    annotated = (
        Annotation("index", None, "a", "b"),
        Annotation("manifest-descriptor", ARM64, "c", "d"),
    )
    sources = (*combiner.sources("one"), *combiner.sources("two"))
    index = combined(sources, [name("app")], annotated)
    document = json.loads(index.data)
    schemas.check(document, schemas.INDEX)
    assert document["annotations"] == {"a": "b"}
    assert [one.get("annotations") for one in document["manifests"]] == [None, {"c": "d"}]
    add_index(index, stock.images, stock.blobs)
    assert stock.images.find("app", ARM64).config_digest == stock.images.find("two").config_digest
    # an index as a source is all its images, and the same twice is once
    again = combined((*combiner.sources("app"), *combiner.sources("one")), [], annotated[:1])
    assert again.data == index.data
    only = combined(combiner.sources("app"), [], (), [ARM64])
    assert [one.platform for one in Index.parse(only.data).manifests] == [ARM64]


def test_what_is_at_a_registry_is_pulled(
    stock: Stock, combiner: Combiner, server: Server, client: Registry, tmp_path: Path
) -> None:
    sources = (*combiner.sources("one"), *combiner.sources("two"))
    index = combined(sources, [name(f"{server.host}/app:1")], ())
    push_index(client, index, stock.root, stock.forms, stock.blobs, lambda _: None)
    with Stock.open(tmp_path / "other") as other:
        there = Combiner(other, client, lambda _: None)
        found = combined(there.sources(f"{server.host}/app:1"), [name("mine")], ())
        assert found.data == index.data
        add_index(found, other.images, other.blobs)
        assert other.images.find("mine", ARM64).config.platform == ARM64
        # nothing but the index has a name
        assert [one.names for one in listed(other.images) if one.names] == [
            ("docker.io/library/mine:latest",)
        ]
        exact = name(f"{server.host}/app:1")
        assert there.pull_all(exact) == index.written.digest
        assert other.images.find(str(exact), ARM64).config.platform == ARM64
        with pytest.raises(BuildError, match=r"not found|unknown"):
            there.sources(f"{server.host}/app:2")


def test_two_images_for_one_platform_are_refused_or_replaced(
    stock: Stock, combiner: Combiner
) -> None:
    stock.image(("file new 0644 text=new",), name="newer")
    old = (*combiner.sources("one"), *combiner.sources("two"))
    new = combiner.sources("newer")
    with pytest.raises(UsageError, match="two images are for linux/amd64"):
        combined((*old, *new), [], ())
    base = Index((), annotations=(("kept", "yes"),))
    index = Index.parse(combined(replacing(old, new), [], (), base=base).data)
    assert [one.digest for one in index.manifests] == [old[1].entry.digest, new[0].entry.digest]
    assert index.annotations == (("kept", "yes"),)
    with pytest.raises(UsageError, match="no image is left"):
        combined(old, [], (), [Platform.parse("linux/s390x")])
