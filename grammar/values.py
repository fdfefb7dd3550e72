"""Arguments and flag values that have a syntax of their own.

In: text, with variables already expanded where 6.3 of docs/dockerfile.md says so. Out: numbers and
small values. Every function raises FlagError, without a place. Documents: docs/dockerfile.md,
chapter 8 (durations, ports, signals), 9.3 (chmod); Go's time.ParseDuration, strconv and
units.RAMInBytes.
"""

from __future__ import annotations

import re

from grammar.errors import FlagError, quote
from runtime.values import NamedTuple

MILLISECOND = 1_000_000
_MAX_INT64 = (1 << 63) - 1
_AS = "as in 30s or 1m30s"
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": MILLISECOND,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "False", "FALSE"), False
)
_SIZES = {unit: 1 << (10 * power) for power, unit in enumerate("bkmgtp")}
_SIGNALS = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP"
    " TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_SIGNAL_NUMBERS = {name: number for number, name in enumerate(_SIGNALS.split(), 1)} | {
    "IOT": 6,
    "CLD": 17,
    "POLL": 29,
    "UNUSED": 31,
    "RTMIN": 34,
    "RTMAX": 64,
}
_REALTIME = {"RTMIN+": (34, 1), "RTMAX-": (64, -1)}


class PortSpec(NamedTuple):
    """Ports of EXPOSE, `first` to `last`. `host` is what a mapping says before the last colon."""

    first: int
    last: int
    protocol: str
    host: str | None

    def ports(self) -> tuple[str, ...]:
        """Return each port as the image's config names it: `80/tcp`."""
        return tuple(f"{port}/{self.protocol}" for port in range(self.first, self.last + 1))


class Clause(NamedTuple):
    """One change of a symbolic mode: bits that are `affected`, and which of them to set."""

    affected: int
    operator: str
    bits: int
    conditional_x: bool
    copied: str


class Mode(NamedTuple):
    """A `--chmod`: either an octal number or clauses."""

    octal: int | None
    clauses: tuple[Clause, ...]

    def apply(self, mode: int, *, directory: bool) -> int:
        """Return the permission bits that a file with `mode` gets, as chmod(1) would, umask 0."""
        if self.octal is not None:
            return self.octal
        mode &= 0o7777
        for clause in self.clauses:
            mode = _changed(mode, clause, directory=directory)
        return mode


def parse_bool(text: str) -> bool:
    """Return what Go's strconv.ParseBool makes of `text`."""
    value = _BOOLEANS.get(text)
    if value is None:
        raise FlagError(f"not a boolean: {text}")
    return value


def parse_unsigned(text: str, base: int) -> int:
    """Return a number of 32 bits."""
    digits = "0123456789"[:base]
    if not text or len(text) > 32 or text.strip(digits) or int(text, base) >= 1 << 32:
        raise FlagError(f"not a number: {text}")
    return int(text, base)


def parse_size(text: str) -> int:
    """Return bytes; `64m`, `1.5g` and `1GiB` are powers of 1024."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([kKmMgGtTpP]?)[iI]?[bB]?", text)
    if match is None:
        raise FlagError(f"invalid size: '{text}'")
    whole, _, fraction = match[1].partition(".")
    unit = _SIZES[match[2].lower() or "b"]
    size = int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
    if size > _MAX_INT64:
        raise FlagError(f"invalid size: '{text}'")
    return size


def parse_duration(text: str) -> int:
    """Return nanoseconds for a duration as Go writes it: `1m30s`, `500ms`, `1.5h`, `-2s`, `0`."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total, position = 0, 0
    number = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
    while position < len(rest) or not rest:
        match = number.match(rest, position)
        if match is None or not (match[1] or match[2]) or len(match[1]) > 19:
            raise FlagError(f"time: invalid duration {quote(text)}", hint=_AS)
        total += _nanoseconds(match[1], match[2] or "", match[3], text)
        position = match.end()
    if total > _MAX_INT64:
        raise FlagError(f"time: invalid duration {quote(text)}", hint=_AS)
    return sign * total


def _nanoseconds(whole: str, fraction: str, unit: str, text: str) -> int:
    if not unit:
        raise FlagError(f"time: missing unit in duration {quote(text)}", hint=_AS)
    if unit not in _UNITS:
        raise FlagError(f"time: unknown unit {quote(unit)} in duration {quote(text)}", hint=_AS)
    size = _UNITS[unit]
    parts = int(f"{fraction:0<18}"[:18])
    return int(whole or "0") * size + parts * size // 10**18


def parse_integer(text: str) -> int:
    """Return a signed number of 32 bits, with strconv.ParseInt's errors."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise FlagError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    if len(text.lstrip("+-0")) > 10 or not -(1 << 31) <= int(text) < 1 << 31:
        raise FlagError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return int(text)


def parse_port_spec(text: str) -> PortSpec:
    """Return the ports of one word of EXPOSE: `80`, `53/udp`, `8000-8005`, `127.0.0.1:8080:80`."""
    mapping, slash, protocol = text.partition("/")
    host, colon, container = mapping.rpartition(":")
    protocol = protocol.lower() if slash and protocol else "tcp"
    if not container:
        raise FlagError(f"invalid port: {quote(text)}")
    if protocol not in ("tcp", "udp", "sctp"):
        raise FlagError(f"invalid proto: {protocol}", hint="protocols are tcp, udp and sctp")
    first, dash, last = container.partition("-")
    low = _port(first, container)
    high = _port(last, container) if dash else low
    if high < low:
        raise FlagError(f"invalid containerPort: {container}")
    return PortSpec(low, high, protocol, host if colon else None)


def _port(text: str, whole: str) -> int:
    if not text or len(text) > 32 or text.strip("0123456789") or int(text) > 65535:
        raise FlagError(f"invalid containerPort: {whole}", hint="ports go from 0 to 65535")
    return int(text)


def parse_signal(text: str) -> int:
    """Return a signal's number; a name may have SIG in front, in any case."""
    if re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        number = int(text)
    else:
        name = text.upper().removeprefix("SIG")
        number = _SIGNAL_NUMBERS.get(name, 0)
        start, direction = _REALTIME.get(name[:6], (0, 0))
        if start and re.fullmatch(r"[0-9]{1,2}", name[6:]) and int(name[6:]) <= 30:
            number = start + direction * int(name[6:])
    if number == 0:
        raise FlagError(f"invalid signal: {text}")
    return number


def parse_chmod(text: str) -> Mode:
    """Return the mode that `--chmod` gives: octal up to 07777, or clauses as in chmod(1)."""
    if text and not text.strip("01234567") and len(text) <= 12 and int(text, 8) <= 0o7777:
        return Mode(int(text, 8), ())
    clauses: list[Clause] = []
    for part in text.split(","):
        match = re.fullmatch(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)", part)
        if match is None:
            raise FlagError(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and"
                " 07777",
                hint="a symbolic mode as in chmod(1), u=rwX,go=rX say, is taken too",
            )
        affected = _affected(match[1])
        for operator, what in re.findall(r"([-+=])([rwxXstugo]*)", match[2]):
            clauses.append(_clause(affected, operator, what))
    return Mode(None, tuple(clauses))


def _affected(who: str) -> int:
    if not who or "a" in who:
        return 0o7777
    masks = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
    mask = 0
    for char in who:
        mask |= masks[char]
    return mask


def _clause(affected: int, operator: str, what: str) -> Clause:
    if what in ("u", "g", "o"):
        return Clause(affected, operator, 0, conditional_x=False, copied=what)
    bits = 0
    for char, value in (("r", 0o444), ("w", 0o222), ("x", 0o111), ("s", 0o6000), ("t", 0o1000)):
        bits |= value if char in what else 0
    return Clause(affected, operator, bits, conditional_x="X" in what, copied="")


def _changed(mode: int, clause: Clause, *, directory: bool) -> int:
    bits = clause.bits
    if clause.copied:
        bits = ((mode >> {"u": 6, "g": 3, "o": 0}[clause.copied]) & 7) * 0o111
    if clause.conditional_x and (directory or mode & 0o111):
        bits |= 0o111
    bits &= clause.affected
    if clause.operator == "+":
        return mode | bits
    if clause.operator == "-":
        return mode & ~bits
    # chmod(1) leaves a directory's set-id bits alone unless they are named.
    kept = 0o6000 if directory and not clause.bits & 0o6000 else 0
    return (mode & ~clause.affected) | (mode & kept) | bits
