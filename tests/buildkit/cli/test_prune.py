"""What the options of prune mean."""

import pytest

from buildkit.cli.prune import parse_size, parse_until
from buildkit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("until=10", 10),
        ("until=90m", 5400),
        ("until=24h", 86_400),
        ("until=1h30m", 5400),
        ("until=2w", 1_209_600),
    ],
)
def test_ages(text: str, seconds: float) -> None:
    assert parse_until(text) == seconds


@pytest.mark.parametrize("text", ["until=", "until=x", "until=-1h", "since=1h", "24h"])
def test_wrong_filters_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a filter"):
        parse_until(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10", 10), ("1k", 1024), ("2MB", 2 << 20), ("1.5GiB", 3 << 29), ("1 t", 1 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1x", "1kk"])
def test_wrong_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)
