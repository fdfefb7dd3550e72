"""How large an image may be, as options say it."""

import pytest

from buildkit.cli.budgets import budget_of
from buildkit.errors import UsageError
from buildkit.inventory.budget import Budget


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("1m", "", ""), Budget(layer=1 << 20)),
        (("0", "", ""), Budget(layer=0)),
        (("", "2k", ""), Budget(growth=2048)),
        (("", "12.5%", "app:1"), Budget(percent=12.5, against="app:1")),
        (("", "0%", ""), Budget(percent=0.0)),
    ],
)
def test_options_are_a_budget(options: tuple[str, str, str], expected: Budget) -> None:
    assert budget_of(*options) == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("x", "", ""), "--max-layer-size: x"),
        (("", "5 %", ""), "--max-growth: 5 %"),
        (("", "-5%", ""), "--max-growth: -5%"),
        (("1m", "", "app:1"), "--growth-from without --max-growth"),
    ],
)
def test_what_is_no_budget_is_refused(options: tuple[str, str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        budget_of(*options)
