"""The output of a step without its secrets."""

import base64
import hashlib
from collections.abc import Callable

import pytest

from buildkit.ops.masking import Masking


def shown(values: tuple[bytes, ...], *pieces: bytes) -> bytes:
    found: list[bytes] = []
    masking = Masking(values, found.append)
    for piece in pieces:
        masking.feed(piece)
    masking.finish()
    return b"".join(found)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_secret_is_masked_however_the_output_is_cut(size: int) -> None:
    data = b"a s3cr3t s3c s3cr3ts\nend s3cr3t"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert shown((b"s3cr3t\n",), *pieces) == b"a *** s3c ***s\nend ***"


@pytest.mark.parametrize(
    ("value", "output", "expected"),
    [
        (b"abc", b"abc", b"abc"),
        (b"first line\r\nsecond\n", b"x second y\nfirst line\n", b"x *** y\n***\n"),
        (b"abcd1234", b"basic dTphYmNkMTIzNA==\n", b"basic dTp***A==\n"),
        (b"", b"nothing\n", b"nothing\n"),
    ],
)
def test_what_is_masked(value: bytes, output: bytes, expected: bytes) -> None:
    assert shown((value,), output) == expected


def test_a_line_without_an_end_is_passed_on_and_still_masked() -> None:
    data = b"-" * 65_530 + b"hunter2-secret" + b"-" * 70_000
    found: list[bytes] = []
    masking = Masking((b"hunter2-secret",), found.append)
    for at in range(0, len(data), 1000):
        masking.feed(data[at : at + 1000])
    assert sum(map(len, found)) > 100_000
    masking.finish()
    assert b"".join(found) == data.replace(b"hunter2-secret", b"***")


def test_a_long_secret_is_masked_wholly() -> None:
    value = "".join(map(str, range(1000, 2300))).encode()
    assert set(shown((value,), b"<" + value + b">\n")) == set(b"<*>\n")


@pytest.mark.parametrize("encode", [base64.encodebytes, base64.b64encode])
def test_a_secret_in_base64_is_masked_though_its_lines_come_one_by_one(
    encode: Callable[[bytes], bytes],
) -> None:
    value = hashlib.shake_256(b"secret").digest(900)
    lines = [line + b"\n" for line in encode(value).splitlines()]
    left = shown((value,), *lines).replace(b"***", b"").split()
    assert all(len(word) < 8 for word in left), left
