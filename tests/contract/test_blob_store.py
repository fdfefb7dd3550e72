"""What every blob store promises."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildkit.content.local import LocalBlobStore
from buildkit.content.store import BlobStore
from buildkit.content.streams import copy
from buildkit.errors import ImageError, StoreError
from buildkit.oci.digest import Digest
from buildkit.state.root import StateRoot

DATA = b"hello" * 500_000


@pytest.fixture(params=[LocalBlobStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    make: Callable[[StateRoot], BlobStore] = request.param
    with StateRoot.open(str(tmp_path)) as root:
        yield make(root)


def test_a_blob_comes_back_as_it_went_in(store: BlobStore) -> None:
    stored = store.put(io.BytesIO(DATA))
    assert stored == (Digest.of(DATA), len(DATA))
    assert store.has(stored.digest)
    assert store.size(stored.digest) == len(DATA)
    assert store.read(stored.digest) == DATA
    with store.open(stored.digest) as reader:
        assert copy(reader, lambda _: None) == len(DATA)
    assert list(store) == [stored.digest]


def test_putting_twice_changes_nothing(store: BlobStore) -> None:
    assert store.put_bytes(b"x") == store.put_bytes(b"x") == store.put(io.BytesIO(b"x"))
    assert len(list(store)) == 1


@pytest.mark.parametrize(
    ("expected", "size", "message"),
    [
        (Digest.of(b"other"), None, "not what its digest says"),
        (None, 4, "more than the announced 4 bytes"),
        (None, 6, "ends after 5 of the announced 6 bytes"),
    ],
)
def test_what_is_not_as_announced_is_not_kept(
    store: BlobStore, expected: Digest | None, size: int | None, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        store.put(io.BytesIO(b"hello"), expected=expected, size=size)
    assert list(store) == []


def test_an_error_of_the_source_is_the_callers(store: BlobStore) -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put(Broken())
    assert list(store) == []


def test_a_missing_blob_is_an_error_that_names_it(store: BlobStore) -> None:
    digest = Digest.of(b"missing")
    assert not store.has(digest)
    for ask in (store.size, store.read):
        with pytest.raises(StoreError, match=digest):
            ask(digest)


def test_a_removed_blob_is_gone_and_may_be_removed_again(store: BlobStore) -> None:
    digest = store.put_bytes(b"x").digest
    store.remove(digest)
    store.remove(digest)
    assert not store.has(digest)


def test_a_document_larger_than_allowed_is_not_read(store: BlobStore) -> None:
    digest = store.put_bytes(b"12345").digest
    with pytest.raises(ImageError, match="larger than the 4 bytes"):
        store.read(digest, 4)


def test_damage_is_an_error_and_mended_by_putting_again(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        store = LocalBlobStore(root)
        digest = store.put_bytes(b"right").digest
        Path(store.path(digest)).write_bytes(b"wrong")
        with pytest.raises(StoreError, match="is damaged"):
            store.read(digest)
        with pytest.raises(StoreError, match="is damaged"):
            store.copy(digest, lambda _: None)
        store.put_bytes(b"right")
        assert store.read(digest) == b"right"
        assert os.listdir(root.path("tmp", root.lease.name, "1")) == []
