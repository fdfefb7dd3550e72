"""Archives written the same way every time."""

import io
import tarfile

import pytest

from buildkit.archive.tar_index import Part, read_index
from buildkit.content.streams import Sink
from buildkit.errors import StoreError
from buildkit.exporter.tar_writer import TarWriter, header


def _written() -> bytes:
    out: list[bytes] = []
    writer = TarWriter(out.append)
    writer.directory("blobs")
    writer.add("blobs/a", b"x" * 600)
    writer.stream("b", 5, lambda sink: (sink(b"he"), sink(b"llo")))
    writer.add("empty", b"")
    writer.finish()
    return b"".join(out)


def test_others_can_read_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(_written())) as tar:
        members = tar.getmembers()
        assert [(m.name, m.size, m.mode, m.mtime, m.uid) for m in members] == [
            ("blobs", 0, 0o755, 0, 0),
            ("blobs/a", 600, 0o644, 0, 0),
            ("b", 5, 0o644, 0, 0),
            ("empty", 0, 0o644, 0, 0),
        ]
        file = tar.extractfile("b")
        assert file is not None
        assert file.read() == b"hello"


def test_our_own_reader_finds_the_members() -> None:
    assert set(read_index(io.BytesIO(_written()), "a.tar")) == {"blobs/a", "b", "empty"}


def test_twice_gives_the_same_bytes() -> None:
    assert _written() == _written()


def test_a_member_of_8_gib_gets_an_extended_header() -> None:
    head = header("big", 9 << 30)
    with tarfile.open(fileobj=io.BytesIO(head + bytes(1024)), mode="r|") as tar:
        member = tar.next()
    assert member is not None
    assert (member.name, member.size) == ("big", 9 << 30)


@pytest.mark.parametrize("content", [b"four", b"sixsix"])
def test_a_member_of_another_size_than_announced_is_an_error(content: bytes) -> None:
    with pytest.raises(StoreError):
        TarWriter(lambda _: None).stream("b", 5, lambda sink: sink(content))


def test_the_place_of_a_member_is_behind_its_header() -> None:
    out: list[bytes] = []
    TarWriter(out.append).add("a", b"xyz")
    data = b"".join(out) + bytes(1024)
    assert read_index(io.BytesIO(data), "a.tar") == {"a": Part(512, 3)}


def test_a_name_behind_the_content_gives_the_same_bytes() -> None:
    out = bytearray()

    def rewrite(offset: int, data: bytes) -> None:
        out[offset : offset + len(data)] = data

    def produce(sink: Sink) -> str:
        sink(b"he")
        sink(b"llo")
        return "b"

    writer = TarWriter(out.extend, rewrite)
    assert writer.names_late
    writer.directory("blobs")
    writer.add("blobs/a", b"x" * 600)
    writer.stream_unnamed(produce)
    writer.add("empty", b"")
    writer.finish()
    assert bytes(out) == _written()
    assert not TarWriter(out.extend).names_late
