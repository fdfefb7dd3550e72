"""How commands print what they found: tables for people, JSON for programs, sizes and ages.

In: values. Out: text. What came from images has its control characters escaped (guarantee S27).
"""

from __future__ import annotations

import json
import re
import sys

# `datetime` has all of it in Python once more: 2 ms.
from _datetime import datetime  # type: ignore[import-not-found]

from buildkit.progress.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their widest cell."""
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for row in (heads, *cells):
        line = "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def print_json(document: object) -> None:
    """Print a document, indented."""
    # ASCII: neither the locale nor a terminal's escape sequences matter to it.
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def seconds_of(created: str) -> float | None:
    """Return an RFC 3339 time in seconds since the epoch, None for anything else."""
    if _TIME.fullmatch(created) is None:
        return None
    try:
        return float(int(datetime.fromisoformat(created).timestamp()))
    except ValueError:
        return None


def age_text(created: str, now: float) -> str:
    """Return how long ago an RFC 3339 time was."""
    then = seconds_of(created)
    if then is None:
        return "N/A"
    seconds = max(now - then, 0.0)
    for unit, length in (
        *(("year", 31_557_600), ("month", 2_629_800), ("week", 604_800)),
        *(("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)),
    ):
        number = int(seconds // length)
        if number >= (2 if unit in ("month", "week") else 1):
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"


def short_id(digest: str) -> str:
    """Return the twelve hex digits by which people know an image."""
    return digest.removeprefix("sha256:")[:12]
