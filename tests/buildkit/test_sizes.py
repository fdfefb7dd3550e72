"""Sizes as people read them."""

import pytest

from buildkit.sizes import limit_text, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1_230_000, "1.23MB"),
        (123_456_789, "123MB"),
        (5_000_000_000, "5GB"),
        (7 * 10**12, "7TB"),
    ],
)
def test_what_is_measured_is_in_powers_of_1000(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (2 << 20, "2MiB"), (5 << 40, "5120GiB")],
)
def test_limits_are_in_powers_of_1024(size: int, text: str) -> None:
    assert limit_text(size) == text
