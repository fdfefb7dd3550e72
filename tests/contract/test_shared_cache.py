"""What every place promises that shared caches lie in."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from buildkit.content.streams import copy
from buildkit.errors import BuildError
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.remotecache.backend import CacheReader, CacheWriter, Loaded
from buildkit.remotecache.directory import DirectoryCache
from tests.buildkit.remotecache.samples import blob, layer, merging, own
from tests.registry import running


class Place(CacheReader, CacheWriter, Protocol):
    """Both sides."""


Open = Callable[[], Place]


@pytest.fixture(params=["directory", "registry"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same place any number of times, as several builds do."""
    with ExitStack() as stack:
        if request.param == "directory":
            yield lambda: DirectoryCache(str(tmp_path / "cache"), "latest")
            return
        from buildkit.registry.client import Access, Registry
        from buildkit.remotecache.registry import RegistryCache

        server = stack.enter_context(running())
        cancel = stack.enter_context(Cancel())
        environment = {"HOME": str(tmp_path), "PATH": ""}

        def make() -> Place:
            client = stack.enter_context(Registry(cancel, Access(), environment))
            reference = Reference.parse(f"{server.host}/cache:latest")
            platform = Platform.parse("linux/amd64")
            return RegistryCache(client, reference, platform, lambda _: None, cancel)

        yield make


def write(place: Place, *names: str, reset: bool = False) -> Digest:
    return place.write([blob(name) for name in names], merging(own(*names), reset=reset))


def steps(found: Loaded) -> list[str]:
    return sorted(step.document.split('"')[-2] for step in found.document.steps)


def content(place: Place, found: Loaded, name: str) -> bytes:
    parts: list[bytes] = []
    with place.open(found.layers[Digest.of(layer(name))]) as reader:
        copy(reader, parts.append)
    return b"".join(parts)


def test_what_was_written_can_be_read(opened: Open) -> None:
    digest = write(opened(), "a", "b")
    place = opened()
    found = place.load()
    assert (found.digest, steps(found)) == (digest, ["a", "b"])
    assert content(place, found, "a") == layer("a")


def test_reading_where_nothing_is_is_an_error_that_names_the_place(opened: Open) -> None:
    place = opened()
    with pytest.raises(BuildError) as caught:
        place.load()
    assert place.name.removesuffix(":latest") in caught.value.message


def test_a_cache_may_be_empty(opened: Open) -> None:
    write(opened())
    assert steps(opened().load()) == []


def test_a_second_writer_adds_to_the_first(opened: Open) -> None:
    write(opened(), "a")
    write(opened(), "b")
    place = opened()
    found = place.load()
    assert steps(found) == ["a", "b"]
    assert content(place, found, "a") == layer("a")
    assert content(place, found, "b") == layer("b")


def test_writing_the_same_again_gives_the_same(opened: Open) -> None:
    assert write(opened(), "a", "b") == write(opened(), "b", "a")


def test_a_writer_can_do_without_the_others(opened: Open) -> None:
    write(opened(), "a")
    write(opened(), "b", reset=True)
    assert steps(opened().load()) == ["b"]


def test_writers_at_once_lose_nothing(opened: Open) -> None:
    failures: list[BaseException] = []

    def one(name: str, place: Place) -> None:
        try:
            write(place, name)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    names = [f"step{number}" for number in range(5)]
    threads = [threading.Thread(target=one, args=(name, opened())) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert steps(opened().load()) == names


def test_a_failure_of_what_is_to_be_written_leaves_the_cache_as_it_was(opened: Open) -> None:
    write(opened(), "a")

    def broken() -> object:
        raise BuildError("no")

    with pytest.raises(BuildError, match="no"):
        opened().write([blob("b"), broken], merging(own("b")))  # type: ignore[list-item]
    assert steps(opened().load()) == ["a"]
