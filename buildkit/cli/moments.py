"""Moments as people write them: RFC 3339, seconds since the epoch, or a span of time ago."""

from __future__ import annotations

import time

from buildkit.durations import parse_duration
from buildkit.errors import UsageError

_LAST = 253_402_300_799.0
"""The end of 9999: RFC 3339 has no later year."""


def moment_of(text: str) -> str:
    """Return a moment as RFC 3339 in UTC, comparable as text; empty for an empty text."""
    if not text:
        return ""
    seconds = min(max(seconds_of(text), 0.0), _LAST)
    whole = int(seconds // 1)
    rest = int((seconds - whole) * 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:09d}Z"


def seconds_of(text: str) -> float:
    """Return a moment in seconds since the epoch."""
    number = text.replace(".", "", 1)
    if number.isascii() and number.isdigit() and len(number) > 8:
        return float(text)
    try:
        return time.time() - parse_duration(text)
    except ValueError:
        pass
    from datetime import UTC, datetime  # for this form only

    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.astimezone()
        return found.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"invalid time {text!r}", hint="as in 10m, 1700000000 or 2024-05-01T12:00:00Z"
        ) from None
