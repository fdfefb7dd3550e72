import pytest

from buildkit.durations import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("7d", 604_800), ("0", 0)]
)
def test_spans_of_time_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1.5h", "-1", "1 h", "9" * 30, "1y"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a span of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.26, "0.3s"), (59, "59s"), (60, "1m"), (5400, "1h30m"), (90_061, "1d1h")],
)
def test_spans_of_time_are_shown_in_two_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
