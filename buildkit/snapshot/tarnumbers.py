"""The fields of tar headers and pax records as values, read with suspicion.

In: bytes from an archive. Out: numbers within the limits of what they mean, or ImageError. What
GNU tar writes (base-256, spaces) is understood; what only an attacker writes is refused
(docs/security.md, S19). Source: POSIX pax; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import re
import zlib

from buildkit.errors import ImageError

MAX_ID = (1 << 32) - 2
MAX_SIZE = (1 << 63) - 1
_MAX_SECONDS = 1 << 40
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_DECIMAL = re.compile(rb"[0-9]{1,20}")
_TIME = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]{0,40}))?")


def number(field: bytes, what: str) -> int:
    """Return a numeric field of a header: octal, or base-256 when the top bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        # The first byte is 0x80 for positive numbers, 0xff for negative ones.
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    match = _OCTAL.fullmatch(field.partition(b"\0")[0]) or _OCTAL.fullmatch(field)
    if match is None:
        raise ImageError(f"{what} is not a number: {field[:20]!r}")
    return int(match[1] or b"0", 8)


def decimal(field: bytes, what: str) -> int:
    """Return the number in a pax record."""
    if not _DECIMAL.fullmatch(field):
        raise ImageError(f"{what} is not a number: {field[:40]!r}")
    return int(field)


def nanoseconds(field: bytes) -> int:
    """Return the time in a pax record, rounded down."""
    match = _TIME.fullmatch(field)
    if match is None:
        raise ImageError(f"not a time: {field[:40]!r}")
    fraction = (match[3] or b"").ljust(9, b"0")
    value = int(match[2]) * 1_000_000_000 + int(fraction[:9])
    if match[1]:
        value = -value - (1 if fraction[9:].strip(b"0") else 0)
    return value


def within(value: int, limit: int, what: str) -> int:
    """Return `value` if it lies in 0..limit."""
    if not 0 <= value <= limit:
        raise ImageError(f"{what} is out of range: {value}")
    return value


def mtime(value_ns: int) -> int:
    """Return a time if a file can have it."""
    if not -_MAX_SECONDS < value_ns // 1_000_000_000 < _MAX_SECONDS:
        raise ImageError(f"time is out of range: {value_ns // 1_000_000_000}")
    return value_ns


def block_sum(block: bytes) -> int:
    """Return the sum of the bytes of a header.

    Adler-32's low half is that plus one, as long as it is small: 512 bytes of ASCII stay below its
    modulus of 65,521. It is ten times faster than `sum`.
    """
    return (zlib.adler32(block) - 1) & 0xFFFF if block.isascii() else sum(block)


def signed_sum(block: bytes) -> int:
    """Return the sum of the bytes as some old programs made it, from signed ones."""
    return sum(byte - 256 if byte > 127 else byte for byte in block)
