"""The table of `top`."""

import pytest

from buildkit.cli.top import _time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00"), (3661, "01:01:01"), (90_000, "25:00:00"), (400_000, "111:06:40")],
)
def test_processor_time_may_be_more_than_a_day(seconds: int, text: str) -> None:
    assert _time(seconds) == text
