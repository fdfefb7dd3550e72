"""gzip in blocks: one member whose bytes depend on the input alone."""

import gzip
import os
import random
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from buildkit.content.streams import CHUNK
from buildkit.snapshot.blocks import GzipBlocks
from buildkit.snapshot.compression import is_noise

CHANCE = random.Random(5)
TEXT = b" ".join(b"%d" % CHANCE.getrandbits(20) for _ in range(450_000))
NOISE = CHANCE.randbytes(3 * CHUNK + 17)


def _compressed(data: bytes) -> bytes:
    stream = GzipBlocks(1, is_noise)
    parts = [stream.compress(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
    return b"".join(parts) + stream.flush()


@contextmanager
def _one_processor() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


CASES = {
    "nothing": b"",
    "a byte": b"x",
    "one block": TEXT[:CHUNK],
    "a block and a byte": TEXT[: CHUNK + 1],
    "text": TEXT,
    "noise": NOISE,
    "noise between": TEXT[:CHUNK] + NOISE + TEXT,
    "noise at its edges": NOISE[:CHUNK] + bytes(CHUNK) + NOISE[:1000],
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES)
def test_it_is_one_member_that_other_tools_read(data: bytes) -> None:
    compressed = _compressed(data)
    stream = zlib.decompressobj(wbits=31)
    assert stream.decompress(compressed) + stream.flush() == data
    assert stream.eof
    assert not stream.unused_data
    assert gzip.decompress(compressed) == data
    done = subprocess.run(["gzip", "-dc"], input=compressed, capture_output=True, check=True)
    assert done.stdout == data


@pytest.mark.parametrize("data", CASES.values(), ids=CASES)
def test_the_bytes_do_not_depend_on_the_number_of_processors(data: bytes) -> None:
    with _one_processor():
        alone = _compressed(data)
    assert _compressed(data) == alone


def test_text_gets_smaller_and_noise_hardly_larger() -> None:
    assert len(_compressed(TEXT)) < 0.6 * len(TEXT)
    assert len(_compressed(NOISE)) < 1.001 * len(NOISE)
