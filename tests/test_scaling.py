"""That what grows with the square is found, and what is in proportion is not."""

import pytest

from tests import scaling
from tests.scaling import assert_in_proportion


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is run say itself how long it takes: this is about the judgement."""
    monkeypatch.setattr(scaling, "seconds", lambda run: run())


def test_the_square_is_told_from_what_is_in_proportion() -> None:
    assert_in_proportion(lambda size: size / 100, 400)
    with pytest.raises(AssertionError, match="for a quarter"):
        assert_in_proportion(lambda size: size**2 / 100, 400)


def test_bad_luck_is_not_taken_for_the_square() -> None:
    slowness = iter([20, 1, 1, 1])
    assert_in_proportion(lambda size: size / 100 * next(slowness, 1), 400)
    assert_in_proportion(lambda size: size**2 / 1e9, 400)  # too short to mean anything
