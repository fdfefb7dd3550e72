"""A producer behind a reader."""

import threading

import pytest

from buildkit.content.streams import Sink, copy
from buildkit.exporter.pipe import produced


def _all(*blocks: bytes) -> bytes:
    def produce(sink: Sink) -> None:
        for block in blocks:
            sink(block)

    found: list[bytes] = []
    with produced(produce) as reader:
        copy(reader, found.append)
    return b"".join(found)


def test_what_is_pushed_is_pulled() -> None:
    assert _all(b"a", b"", b"bc") == b"abc"
    assert _all() == b""
    assert _all(*[b"x" * 1000] * 100) == b"x" * 100_000
    large = bytes(range(251)) * 20_000
    assert _all(b"a", large, b"b") == b"a" + large + b"b"


def test_large_blocks_are_handed_over_in_small_ones() -> None:
    with produced(lambda sink: sink(bytes(5 << 20))) as reader:
        assert len(reader.read(5 << 20)) == 1 << 20


def test_pieces_are_no_larger_than_asked_for() -> None:
    with produced(lambda sink: sink(b"abcdef")) as reader:
        assert [reader.read(4), reader.read(4), reader.read(4), reader.read(4)] == [
            b"abcd",
            b"ef",
            b"",
            b"",
        ]


def test_what_the_producer_raises_the_reader_raises() -> None:
    def produce(sink: Sink) -> None:
        sink(b"a")
        raise ValueError("broken")

    with produced(produce) as reader, pytest.raises(ValueError, match="broken"):
        copy(reader, lambda _: None)


def test_a_reader_that_gives_up_ends_the_producer() -> None:
    def produce(sink: Sink) -> None:
        while True:
            sink(b"more")

    before = threading.active_count()
    with produced(produce) as reader:
        reader.read(4)
    assert threading.active_count() == before
