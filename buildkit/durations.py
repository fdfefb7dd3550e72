"""Spans of time as people write them: `90s`, `10m`, `1h30m`, `7d`. A bare number is seconds."""

from __future__ import annotations

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FORM = r"(?:[0-9]{1,9}[smhdw]){1,5}"
_PART = r"([0-9]+)([smhdw])"


def parse_duration(text: str) -> int:
    """Return seconds. Raises ValueError."""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text)
    import re  # a bare number is what commands have by default

    if not re.fullmatch(_FORM, text):
        raise ValueError(f"not a span of time: {text!r}, as in 30s, 1h30m or 7d")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))


def duration_text(seconds: float) -> str:
    """Return a span of time in its two largest units: `1h30m`, `2d`, `45s`, `0.3s`."""
    if seconds < 60:
        return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds:.1f}s"
    rest = int(seconds)
    parts = []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number}{unit}")
        elif parts:
            break
    return "".join(parts[:2])
