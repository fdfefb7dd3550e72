"""All images of a name: from the store or from a registry, as the policy says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.archive.remote import PullPolicy
from buildkit.archive.remote_index import obtain_all
from buildkit.errors import BuildError, ImageError
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, Warned
from buildkit.registry.client import Access, Registry
from buildkit.registry.errors import RegistryError
from buildkit.registry.limits import Limits
from tests.buildkit.archive.test_remote import ARM64, get, hold, multi
from tests.buildkit.exporter.stock import Stock
from tests.registry import Registry as Server
from tests.registry import running

ONCE = Access(limits=Limits(tries=1))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with running() as found:
        yield found


def get_all(
    stock: Stock, text: str, policy: PullPolicy, events: list[Event] | None = None
) -> Digest:
    found: list[Event] = [] if events is None else events
    with Cancel() as cancel, Registry(cancel, ONCE, {}) as registry:
        return obtain_all(Reference.parse(text), policy, stock, registry, found.append)


def test_what_is_here_is_not_asked_for(stock: Stock, server: Server) -> None:
    index, name = multi(server), f"{server.host}/app:multi"
    assert get_all(stock, name, "missing") == index
    server.asked.clear()
    assert get_all(stock, name, "missing") == get_all(stock, name, "never") == index
    assert not server.asked
    assert get_all(stock, name, "newer") == index
    assert {one.path for one in server.asked if one.method == "GET"} <= {"/v2/"}


def test_one_image_of_an_index_is_not_all_of_it(stock: Stock, server: Server) -> None:
    index, name = multi(server), f"{server.host}/app:multi"
    with pytest.raises(ImageError, match="no image is called"):
        get_all(stock, name, "never")
    get(stock, name, platform=ARM64)
    with pytest.raises(ImageError, match=r"not all images of .*/app:multi are in the local"):
        get_all(stock, name, "never")
    assert get_all(stock, name, "missing") == index


@pytest.mark.parametrize("policy", ["missing", "never", "newer"])
def test_an_image_that_is_in_no_index_is_all_there_is(
    stock: Stock, server: Server, policy: PullPolicy
) -> None:
    hold(server)
    name = f"{server.host}/app:1"
    assert get_all(stock, name, "always") == get_all(stock, name, policy)
    made = stock.image(("file a 0644",), name="made:1")
    if policy != "newer":
        assert get_all(stock, "made:1", policy) == made.digest


def test_newer_takes_what_has_changed_and_does_without_an_answer(
    stock: Stock, server: Server
) -> None:
    name = f"{server.host}/app:multi"
    hold(server, tag="multi")
    old = get_all(stock, name, "newer")
    index = multi(server)
    assert get_all(stock, name, "missing") == old
    assert get_all(stock, name, "newer") == index
    server.close()
    events: list[Event] = []
    assert get_all(stock, name, "newer", events) == index
    assert [type(one) for one in events] == [Warned]
    with pytest.raises((RegistryError, BuildError)):
        get_all(stock, name, "always")


def test_one_image_that_is_pulled_leaves_the_index_its_name(stock: Stock, server: Server) -> None:
    index, name = multi(server), f"{server.host}/app:multi"
    get_all(stock, name, "always")
    image = get(stock, name, "always", ARM64)
    assert stock.images.identify(name) == index
    assert stock.images.find(name, ARM64).config_digest == image.config_digest
    hold(server, tag="multi")
    other = get(stock, name, "always")
    assert stock.images.identify(name) == other.config_digest
