"""Sizes as people write and read them, as with docker.

In: limits, `512m`, `2g`, `1.5GB`, in powers of 1024. Out: these as `512MiB`; all that is measured
as `512MB`, in powers of 1000.
"""

from __future__ import annotations

_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def parse_size(text: str) -> int:
    """Return bytes for `text`: a number with an optional b, k, m, g or t. Raises ValueError."""
    digits = text.rstrip("bBkKmMgGtT")
    unit = text[len(digits) :].lower()
    if unit.endswith("b") and len(unit) > 1:
        unit = unit[:-1]
    if not digits.isascii() or not digits.replace(".", "", 1).isdigit() or unit not in _UNITS:
        raise ValueError(f"not a size: {text!r}")
    factor = 1 << _UNITS[unit]
    return int(float(digits) * factor) if "." in digits else int(digits) * factor


def size_text(size: int) -> str:
    """Return a number of bytes as people read it, in powers of 1000."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"


def limit_text(amount: int) -> str:
    """Return a limit, or what is held against one: `2MiB`, `1.5KiB`, `12B`."""
    value = float(amount)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f}{unit}" if value == int(value) or unit == "B" else f"{value:.1f}{unit}"
