"""How large an image may be: a value."""

from __future__ import annotations

from runtime.values import NamedTuple


class Budget(NamedTuple):
    """What is allowed: bytes of uncompressed layers, None for any number.

    `growth` bytes, or with `percent` hundredths of what there was. `against`: the image to
    compare with, None for that of the build's own name.
    """

    layer: int | None = None
    growth: int | None = None
    percent: float | None = None
    against: str | None = None
