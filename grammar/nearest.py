"""Suggestions for near misses.

In: what was written, and what would have been right. Out: the nearest, if it is near: a Levenshtein
distance below 3. Document: docs/dockerfile.md, chapter 14.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_LIMIT = 3


def nearest(written: str, options: Iterable[str], *, ignore_case: bool = True) -> str | None:
    """Return the nearest of `options`, None if none is near or one is what was written.

    With `ignore_case`, the answer comes in the case of what was written.
    """
    wanted = written.lower() if ignore_case else written
    best, least = None, (_LIMIT, False)
    for option in options:
        candidate = option.lower() if ignore_case else option
        if candidate == wanted:
            return None
        # Of two that are equally near, the one with the same letters in another order.
        distance = (_distance(wanted, candidate), sorted(candidate) != sorted(wanted))
        if distance < least:
            best, least = option, distance
    if best is None or not ignore_case:
        return best
    if written == written.lower():
        return best.lower()
    return best.upper() if written == written.upper() else best


def did_you_mean(written: str, options: Iterable[str], *, ignore_case: bool = True) -> str:
    """Return ` (did you mean X?)`, or nothing."""
    found = nearest(written, options, ignore_case=ignore_case)
    return f" (did you mean {found}?)" if found is not None else ""


def _distance(left: str, right: str) -> int:
    """Return the Levenshtein distance, or `_LIMIT` where the lengths alone make it that."""
    if abs(len(left) - len(right)) >= _LIMIT:
        return _LIMIT
    row = list(range(len(right) + 1))
    for position, char in enumerate(left, 1):
        previous, row[0] = row[0], position
        for column, other in enumerate(right, 1):
            cost = previous if char == other else 1 + min(previous, row[column], row[column - 1])
            previous, row[column] = row[column], cost
    return row[-1]
