"""Limits of processes as docker's `--ulimit` writes them: `nofile=1024:2048`."""

from __future__ import annotations

from buildkit.errors import UsageError
from runtime.spec import LIMITS, Rlimit


def parse_ulimit(text: str) -> Rlimit:
    """Parse `NAME=SOFT[:HARD]`; -1 and `unlimited` are no limit. Raises UsageError."""
    name, equals, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    if name not in LIMITS or not equals:
        raise UsageError(f"invalid ulimit {text!r}", hint=f"known are {', '.join(LIMITS)}")
    first = _number(soft, text)
    last = _number(hard, text) if colon else first
    if last != -1 and (first == -1 or first > last):
        raise UsageError(f"invalid ulimit {text!r}: the soft limit is above the hard one")
    return Rlimit(name, first, last)


def _number(text: str, whole: str) -> int:
    if text in ("-1", "unlimited"):
        return -1
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"invalid ulimit {whole!r}", hint="the form is NAME=SOFT[:HARD]")
    return int(text)
