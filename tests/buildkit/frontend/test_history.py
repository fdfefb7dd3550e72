"""History strings that the tables of instructions do not reach."""

import pytest

from buildkit.frontend import history

MINUTE = 60_000_000_000


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5\u00b5s"),
        (1_000_000, "1ms"),
        (1_010_000, "1.01ms"),
        (999_999_999, "999.999999ms"),
        (1_000_000_000, "1s"),
        (1_000_000_001, "1.000000001s"),
        (MINUTE, "1m0s"),
        (MINUTE + 500_000_000, "1m0.5s"),
        (60 * MINUTE, "1h0m0s"),
        (25 * 60 * MINUTE + MINUTE + 1_000_000_000, "25h1m1s"),
    ],
)
def test_a_time_is_printed_as_go_prints_it(nanoseconds: int, text: str) -> None:
    assert history.duration(nanoseconds) == text


def test_a_command_is_quoted_as_go_quotes_it() -> None:
    assert history.command("CMD", ("a\tb", 'c"\\')) == 'CMD ["a\\tb" "c\\"\\\\"]'
