"""What the options of prune mean."""

import pytest

from buildkit.cli.prune import parse_until
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
