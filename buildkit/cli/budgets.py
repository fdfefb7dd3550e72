"""`--max-layer-size`, `--max-growth`, `--growth-from` as a value."""

from __future__ import annotations

import re

from buildkit.cli.values import parse_size
from buildkit.errors import UsageError
from buildkit.inventory.budget import Budget

_PERCENT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,7})?)%")


def budget_of(layer: str, growth: str, against: str) -> Budget:
    """Return what the options allow. Raises UsageError."""
    if against and not growth:
        raise UsageError("--growth-from without --max-growth", hint="how much is allowed?")
    match = _PERCENT.fullmatch(growth)
    return Budget(
        layer=parse_size("--max-layer-size", layer) if layer else None,
        growth=parse_size("--max-growth", growth) if growth and match is None else None,
        percent=None if match is None else float(match[1]),
        against=against or None,
    )
