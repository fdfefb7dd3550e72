"""Moments as people write them."""

import pytest

from buildkit.cli.moments import moment_of, seconds_of
from buildkit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("1700000000", "2023-11-14T22:13:20.000000000Z"),
        ("1700000000.5", "2023-11-14T22:13:20.500000000Z"),
        ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00.000000000Z"),
        ("99999999999999999999", "9999-12-31T23:59:59.000000000Z"),
        ("999999999w", "1970-01-01T00:00:00.000000000Z"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert moment_of(text) == expected


@pytest.mark.parametrize("text", ["x", "-1", "²", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="invalid time"):
        seconds_of(text)
