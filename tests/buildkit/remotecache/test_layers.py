"""Layers that are fetched when they are needed."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from buildkit.content.streams import Reader
from buildkit.errors import Cancelled, ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event, Warned
from buildkit.remotecache.layers import SharedLayers
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.source import LayerLostError
from buildkit.state.root import StateRoot
from tests.buildkit.remotecache.samples import described, layer
from tests.kernel import needs

pytestmark = needs("root")


class Shelf:
    """A cache in memory. `spoil` changes what is read."""

    def __init__(self, name: str, *texts: str, spoil: Callable[[bytes], bytes] = bytes) -> None:
        self.name = name
        self.opened: list[Digest] = []
        self._data = {described(text).digest: layer(text) for text in texts}
        self._spoil = spoil

    @property
    def layers(self) -> dict[Digest, Descriptor]:
        return {digest: self._descriptor(data) for digest, data in self._data.items()}

    @staticmethod
    def _descriptor(data: bytes) -> Descriptor:
        return Descriptor(described("").media_type, Digest.of(data), len(data))

    @contextmanager
    def open(self, layer: Descriptor) -> Iterator[Reader]:
        self.opened.append(layer.digest)
        yield io.BytesIO(self._spoil(self._data[layer.digest]))


class Shared:
    """Layers that come into a store, and what is said about it."""

    def __init__(self, root: StateRoot, cancel: Cancel) -> None:
        self.said: list[Event] = []
        self.layers = SharedLayers(root, self.said.append, cancel)
        self.store = OverlayStore(root, self.layers)
        self.here = OverlayStore(root)

    def add(self, *shelves: Shelf) -> None:
        for shelf in shelves:
            self.layers.add(shelf, shelf.layers)

    def warnings(self) -> list[str]:
        return [event.message for event in self.said if isinstance(event, Warned)]


@pytest.fixture
def shared(root: StateRoot, cancel: Cancel) -> Shared:
    return Shared(root, cancel)


def digest_of(text: str) -> Digest:
    return described(text).digest


def test_what_is_offered_is_fetched_once_and_only_when_it_is_needed(shared: Shared) -> None:
    shelf = Shelf("cache", "a", "b")
    shared.add(shelf)
    assert shared.store.has((digest_of("a"), digest_of("b")))
    assert shelf.opened == []
    for _ in range(2):
        shared.store.bring((digest_of("a"),))
    assert shelf.opened == [digest_of("a")]
    assert shared.here.has((digest_of("a"),))
    assert not shared.here.has((digest_of("b"),))


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1], lambda data: data + b"x", lambda _: b"", lambda d: d[::-1]]
)
def test_what_is_damaged_comes_from_the_next_cache(
    shared: Shared, spoil: Callable[[bytes], bytes]
) -> None:
    bad, good = Shelf("bad", "a", spoil=spoil), Shelf("good", "a")
    shared.add(bad, good)
    shared.store.bring((digest_of("a"),))
    assert (len(bad.opened), len(good.opened)) == (1, 1)
    assert len(shared.warnings()) == 1
    assert "cache bad: blob" in shared.warnings()[0]
    assert shared.layers.lost == {"bad": {digest_of("a")}}


def test_a_layer_is_what_its_diff_id_says_whatever_its_descriptor_says(shared: Shared) -> None:
    shelf = Shelf("liar", "a")
    shared.layers.add(shelf, {digest_of("b"): described("a")})
    with pytest.raises(LayerLostError):
        shared.store.bring((digest_of("b"),))
    assert not shared.here.has((digest_of("b"),))
    assert not shared.store.has((digest_of("b"),))


def test_one_that_is_lost_does_not_keep_the_others_from_coming(shared: Shared) -> None:
    shared.add(Shelf("bad", "a", spoil=lambda _: b""), Shelf("good", "b", "c"))
    with pytest.raises(LayerLostError):
        shared.store.bring(map(digest_of, "abc"))
    assert shared.layers.times_lost == 1
    assert shared.here.has(map(digest_of, "bc"))


def test_two_who_need_a_layer_at_once_fetch_it_once(shared: Shared) -> None:
    both = threading.Barrier(2)
    shelf = Shelf("cache", "a")
    shared.add(shelf)

    def need() -> None:
        both.wait()
        shared.store.bring((digest_of("a"),))

    threads = [threading.Thread(target=need) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.opened == [digest_of("a")]


def test_who_cancels_waits_for_no_layer(shared: Shared, cancel: Cancel) -> None:
    def cancelled(data: bytes) -> bytes:
        cancel.set(2)
        return data

    shared.add(Shelf("cache", "a", spoil=cancelled))
    with pytest.raises(Cancelled):
        shared.store.bring((digest_of("a"),))
    assert shared.warnings() == []
    assert not shared.here.has((digest_of("a"),))


def test_what_opening_says_is_told_with_the_name_of_the_cache(shared: Shared) -> None:
    def gone(_data: bytes) -> bytes:
        raise ImageError("it is gone")

    shared.add(Shelf("cache", "a", spoil=gone))
    with pytest.raises(LayerLostError):
        shared.store.bring((digest_of("a"),))
    assert shared.warnings()[0].endswith("it is gone")
