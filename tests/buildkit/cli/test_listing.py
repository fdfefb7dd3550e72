"""How commands print."""

import pytest

from buildkit.cli.listing import age_text, print_table, seconds_of, short_id


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T00:00:10.123456789Z", 10),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00-00:30", 1800),
        ("", None),
        ("yesterday", None),
        ("1970-13-01T00:00:00Z", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3600 * 23, "23 hours ago"),
        (86_400 * 6, "6 days ago"),
        (86_400 * 14, "2 weeks ago"),
        (86_400 * 100, "3 months ago"),
        (86_400 * 366, "1 year ago"),
        (-50, "just now"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert age_text("2000-01-01T00:00:00Z", 946_684_800 + seconds) == text


def test_an_image_without_a_time_has_no_age() -> None:
    assert age_text("", 0.0) == "N/A"


def test_a_table_is_aligned_and_safe_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A", "LONG"], [["wide cell", "x"], ["\x1b[31m", ""]])
    assert capsys.readouterr().out == "A           LONG\nwide cell   x\n\\x1b[31m\n"


def test_short_ids() -> None:
    assert short_id("sha256:0123456789abcdef") == "0123456789ab"
