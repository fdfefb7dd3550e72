"""Sizes as people write them: `512m`, `2g`, `1.5GB`. Powers of 1024, as with docker."""

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
