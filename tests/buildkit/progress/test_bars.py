"""The live lines, as they come out of the terminal."""

import io

import pytest

from buildkit.progress.bars import Bars
from buildkit.progress.board import Going


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (Going("=> RUN make", " 1.0s"), "=> RUN make 1.0s"),
        (Going("=> RUN " + "x" * 100, " 12.5s"), "=> RUN " + "x" * 63 + "... 12.5s"),
        # Signs that are two columns wide.
        (Going("=> RUN " + "安" * 100, " 1.0s"), "=> RUN " + "安" * 32 + "... 1.0s"),
        ("   " + "x" * 100, "   " + "x" * 76),
    ],
)
def test_a_line_is_cut_to_the_terminal_and_its_time_stays(row: str | Going, seen: str) -> None:
    stream = io.StringIO()  # which says no size, so 80 columns
    bars = Bars(stream)
    bars.show([row])
    assert stream.getvalue().split("\r")[-1].rstrip() == seen
    bars.close()
