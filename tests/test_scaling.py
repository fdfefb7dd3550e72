"""That what grows with the square is found, and what is in proportion is not."""

import pytest

from tests.scaling import assert_in_proportion


def test_the_square_is_told_from_what_is_in_proportion() -> None:
    assert_in_proportion(lambda size: sum(range(size)), 2_000_000)
    with pytest.raises(AssertionError, match="for a quarter"):
        assert_in_proportion(lambda size: sum(range(size**2)), 3_600, tries=1)
