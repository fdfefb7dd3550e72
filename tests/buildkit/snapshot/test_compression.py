"""Compressing and decompressing layers."""

import bz2
import gzip
import importlib.util
import io
import lzma
import os
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import ImageError
from buildkit.oci.media_types import Compression
from buildkit.snapshot.compression import (
    CompressingSink,
    DecompressingReader,
    Format,
    compressor,
    detect,
    is_noise,
)

needs_zstd = pytest.mark.skipif(
    importlib.util.find_spec("zstandard") is None, reason="zstandard is not installed"
)
ZSTD = pytest.param("zstd", marks=needs_zstd)

DATA = random.Random(1).randbytes(30_000) + b"text " * 50_000


def _compressed(compression: Compression, level: int | None, *blocks: bytes) -> bytes:
    out: list[bytes] = []
    sink = CompressingSink(compressor(compression, level), out.append)
    for block in blocks:
        sink(block)
    sink.finish()
    return b"".join(out)


def _by_others(form: Format, data: bytes) -> bytes:
    """Compress `data` as other tools do."""
    match form:
        case "none":
            return data
        case "gzip":
            return gzip.compress(data)
        case "bzip2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zstd":
            import zstandard

            return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _decompressed(data: bytes, form: Format, size: int = 10_000) -> bytes:
    reader = DecompressingReader(io.BytesIO(data), form, "layer")
    out = b""
    while block := reader.read(size):
        assert len(block) <= size
        out += block
    return out


@pytest.mark.parametrize(
    ("compression", "level"),
    [
        ("none", None),
        ("gzip", None),
        ("gzip", 6),
        pytest.param("zstd", None, marks=needs_zstd),
        pytest.param("zstd", 9, marks=needs_zstd),
    ],
)
def test_what_is_compressed_decompresses_to_itself(
    compression: Compression, level: int | None
) -> None:
    data = _compressed(compression, level, DATA)
    assert detect(data) == compression or compression == "none"
    assert _decompressed(data, compression) == DATA


@pytest.mark.parametrize("compression", ["gzip", ZSTD])
def test_the_bytes_do_not_depend_on_how_the_input_is_cut(compression: Compression) -> None:
    data = DATA * 10
    pieces = [data[n : n + 70_001] for n in range(0, len(data), 70_001)]
    assert _compressed(compression, None, data) == _compressed(compression, None, *pieces)


@needs_zstd
@pytest.mark.parametrize("size", [0, 1, 4 << 20, (4 << 20) + 1])
def test_zstd_ends_the_same_way_where_the_input_ends_with_a_job(size: int) -> None:
    noise = random.Random(1).randbytes(size)
    data = _compressed("zstd", None, noise)
    assert data.endswith(b"\x01\x00\x00")  # a last block with nothing in it: RFC 8878, 3.1.1.2
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert _compressed("zstd", None, noise) == data
    finally:
        os.sched_setaffinity(0, allowed)
    assert _decompressed(data, "zstd", 1 << 20) == noise


@pytest.mark.parametrize(
    ("block", "noise"),
    [
        (random.Random(1).randbytes(1 << 20), True),
        (bytes(1 << 20), False),
        (b"words and words " * (1 << 16), False),
        (random.Random(1).randbytes(1000), False),
    ],
)
def test_noise_is_what_does_not_get_smaller(block: bytes, noise: bool) -> None:
    assert is_noise(block) is noise
    assert is_noise(memoryview(block)) is noise


def test_gzip_names_neither_file_nor_time() -> None:
    assert _compressed("gzip", None, b"x")[3:8] == bytes(5)


def test_a_level_that_is_asked_for_gives_the_bytes_of_zlib() -> None:
    stream = zlib.compressobj(6, wbits=31)
    assert _compressed("gzip", 6, DATA) == stream.compress(DATA) + stream.flush()


@pytest.mark.parametrize("form", ["none", "gzip", ZSTD, "bzip2", "xz"])
@pytest.mark.parametrize("cut", [0, 1000])
def test_what_others_compressed_is_read_also_in_two_members(form: Format, cut: int) -> None:
    data = _by_others(form, DATA[cut:])
    if cut:
        data = _by_others(form, DATA[:cut]) + data
    assert detect(data) == form
    for size in (1000, 1 << 20):
        assert _decompressed(data, form, size) == DATA


@pytest.mark.parametrize("form", ["gzip", ZSTD, "bzip2", "xz"])
@pytest.mark.parametrize("damage", ["cut", "cut a little", "more", "changed", "nothing"])
def test_damage_is_an_error(form: Format, damage: str) -> None:
    data = _by_others(form, DATA)
    damaged = {
        "cut": data[: len(data) // 2],
        "cut a little": data[:-1],
        "more": data + b"something else",
        "changed": data[:1000] + bytes([data[1000] ^ 0xFF]) + data[1001:],
        "nothing": b"",
    }[damage]
    with pytest.raises(ImageError, match="damaged"):
        _decompressed(damaged, form)


@pytest.mark.parametrize("form", ["gzip", ZSTD])
def test_a_bomb_is_handed_out_in_small_pieces(form: Format) -> None:
    reader = DecompressingReader(io.BytesIO(_by_others(form, bytes(1 << 26))), form, "layer")
    assert len(reader.read(100)) == 100


@given(st.binary(max_size=300), st.sampled_from(["gzip", "zstd", "bzip2", "xz"]))
def test_noise_gives_bytes_or_an_image_error(noise: bytes, form: Format) -> None:
    for data in (noise, gzip.compress(b"x")[:4] + noise):
        try:
            _decompressed(data, form)
        except ImageError:
            continue


def _skippable(size: int, low: int = 0x50) -> bytes:
    return bytes((low, 0x2A, 0x4D, 0x18)) + size.to_bytes(4, "little") + bytes(range(256))[:size]


@needs_zstd
@pytest.mark.parametrize(
    ("before", "after"), [(b"", _skippable(200)), (_skippable(4), b""), (b"", _skippable(0, 0x5F))]
)
def test_frames_that_stand_for_nothing_are_passed_over(before: bytes, after: bytes) -> None:
    """pzstd writes them in front, zstd:chunked of podman and skopeo behind."""
    frame = _by_others("zstd", DATA)
    data = b"".join((before, frame, after, before, frame, after))
    assert _decompressed(data, detect(data)) == DATA * 2
    with pytest.raises(ImageError, match="cut short"):
        _decompressed(frame + _skippable(9)[:-1], "zstd")
