"""Why two builds gave different bytes, as far as the bytes themselves tell, and what helps.

In: the path of a file and its two contents around the first difference. Out: a `Cause`. Pure.
What is known by name comes first, then what a format has at a fixed place, then what the bytes
look like. Source: reproducible-builds.org, docs; PEP 552; RFC 1952; APPNOTE.TXT 4.3.7; ar(5).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Sequence

from runtime.values import NamedTuple

DAY = 86_400
_LARGEST = 16 << 20
_NEAR = 40
"""Bytes around the first difference that are looked at and shown."""


class Cause(NamedTuple):
    """`what` the two differ by and what helps (`advice`, may be empty)."""

    what: str
    advice: str = ""


class Sides(NamedTuple):
    """A file that differs: the beginnings of both contents, bounded, and where they part."""

    path: str
    first: bytes
    second: bytes
    offset: int


class Varied(NamedTuple):
    """What was varied: begin of the builds, and words of the machine by what they are, of each."""

    times: tuple[float, float]
    words: Sequence[tuple[str, str, str]] = ()


_PATHS: tuple[tuple[str, Cause], ...] = tuple(
    (pattern, Cause(what, advice))
    for pattern, what, advice in (
        (
            r"var/cache/ldconfig/aux-cache$",
            "ldconfig's cache holds inodes and times",
            "rm /var/cache/ldconfig/aux-cache at the end of the RUN",
        ),
        (
            r"var/log/(apt/|dpkg\.log|alternatives\.log|bootstrap\.log|dnf|yum|apk)",
            "a log of the package manager holds times",
            "remove the log in the same RUN, as in rm -rf /var/log/apt /var/log/dpkg.log",
        ),
        (
            r"(etc|var/lib/dbus)/machine-id$",
            "a machine ID is random",
            "empty it at the end of the RUN: : > /etc/machine-id",
        ),
        (
            r"etc/ssh/ssh_host_|etc/ssl/private/.*\.(key|pem)$",
            "a key was made in the build",
            "make keys when the container starts: in an image they are no secret",
        ),
        (
            r"var/lib/apt/lists/|var/cache/apk/|var/cache/(dnf|yum)/",
            "package lists are those of the hour",
            "remove them in the same RUN, or use RUN --mount=type=cache",
        ),
        (
            r"etc/shadow-?$",
            "shadow has the day of the last change of a password",
            "chage -d 0 USER after useradd, or set SOURCE_DATE_EPOCH for useradd",
        ),
        (
            r"var/lib/dnf/history\.sqlite|var/lib/rpm/|usr/lib/sysimage/rpm/",
            "rpm's database has times of installation",
            "SOURCE_DATE_EPOCH in the environment of the RUN (rpm 4.19 and later)",
        ),
        (r"var/cache/fontconfig/", "caches of fonts hold times", "remove the cache"),
        (r"(^|/)\.git/", "a .git directory has times and paths", "leave it out: .dockerignore"),
        (
            r"(^|/)(\.npm|\.cache|_cacache)/",
            "caches of a package manager",
            "remove them in the same RUN, or use RUN --mount=type=cache",
        ),
    )
)

_DATES = re.compile(
    rb"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?|\d\d:\d\d:\d\d"
    rb"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d"
    rb"|\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|\b20\d{6}"
)
_GZIP = b"\x1f\x8b"
_COMPRESSED = (_GZIP, b"PK\3\4", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(rb"[0-9a-fA-F]{16,}|[A-Za-z0-9+/_-]{20,}={0,2}")
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_EPOCH_ADVICE = (
    "SOURCE_DATE_EPOCH in place of the clock: ARG SOURCE_DATE_EPOCH, date -d @$SOURCE_DATE_EPOCH"
)
_RANDOM = Cause("random: bytes that no two builds share", "give the tool a fixed seed or name")


def cause_of_content(sides: Sides, varied: Varied) -> Cause:
    """Return the likely cause of different contents."""
    for pattern, cause in _PATHS:
        if re.search(pattern, sides.path):
            return cause
    for look in (_by_format, _by_order, _by_words, _by_text, _by_number, _by_mixture):
        found = look(sides, varied)
        if found is not None:
            return found
    return Cause("not known: the bytes do not tell")


def shown(data: bytes, offset: int) -> str:
    """Return the line around `offset`, bounded, as Python writes bytes."""
    start = max(data.rfind(b"\n", 0, offset) + 1, offset - _NEAR)
    end = data.find(b"\n", offset)
    end = min(len(data) if end < 0 else end, offset + _NEAR)
    return repr(data[start:end])[1:]


def _by_format(sides: Sides, varied: Varied) -> Cause | None:
    first, at = sides.first, sides.offset
    formats: tuple[tuple[bool, Callable[[], bool], Cause], ...] = (
        (
            sides.path.endswith(".pyc"),
            lambda: at < 16,
            Cause(
                "the header of the .pyc holds the time of its source",
                "PYTHONDONTWRITEBYTECODE=1, or python -m compileall"
                " --invalidation-mode unchecked-hash",
            ),
        ),
        (
            first.startswith(_GZIP),
            lambda: 4 <= at < 8,
            Cause("the header of gzip holds a time", "gzip -n"),
        ),
        (
            first.startswith(b"PK\3\4"),
            lambda: _in_zip_time(first, at),
            Cause("an entry of the zip holds a time", "set the times of the files first; zip -X"),
        ),
        (
            first.startswith(b"!<arch>\n"),
            lambda: _is_time(_number_at(first, at), varied),
            Cause("a member of the ar archive holds a time", "ar D, ranlib -D"),
        ),
        (
            first[257:262] == b"ustar",
            lambda: 136 <= at % 512 < 156,
            Cause(
                "a member of the tar holds a time",
                "tar --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner",
            ),
        ),
    )
    return next((cause for fits, where, cause in formats if fits and where()), None)


def _in_zip_time(data: bytes, at: int) -> bool:
    start = max(data.rfind(b"PK\3\4", 0, at), data.rfind(b"PK\1\2", 0, at))
    if start < 0:
        return False
    fixed = 10 if data[start : start + 4] == b"PK\3\4" else 12
    # Beside DOS's own time there may be one in an extra field behind the name.
    return fixed <= at - start < fixed + 4 or b"UT\t\0" in data[start:at]


def _by_order(sides: Sides, _varied: Varied) -> Cause | None:
    """Recognize the same parts in another order."""
    first, second = sides.first, sides.second
    if len(first) != len(second):
        return None
    for separator in (b"\n", b"\0", b" ", b","):
        one, two = first.split(separator), second.split(separator)
        if len(one) > 2 and sorted(one) == sorted(two):
            return Cause(
                "the order: both have the same parts",
                "sort what a directory, a hash table or parallel work gives: sort, LC_ALL=C,"
                " PYTHONHASHSEED=0",
            )
    return None


def _by_words(sides: Sides, varied: Varied) -> Cause | None:
    """Find what was varied about the machine where the contents part."""
    for what, first, second in varied.words:
        if first == second:
            continue
        found = (
            _word_at(data, sides.offset, word.encode())
            for data, word in ((sides.first, first), (sides.second, second))
        )
        if all(found):
            return Cause(f"{what} of the machine", f"make the step independent of {what}")
    return None


def _word_at(data: bytes, offset: int, word: bytes) -> bool:
    """Say whether `word`, and no longer one, is what the byte at `offset` or its end belongs to."""
    start = max(0, offset - len(word) - 1)
    pattern = rb"(?<![0-9A-Za-z])" + re.escape(word) + rb"(?![0-9A-Za-z])"
    near = data[start : offset + len(word) + 1]
    return any(m.start() <= offset - start <= m.end() for m in re.finditer(pattern, near))


def _by_text(sides: Sides, varied: Varied) -> Cause | None:
    one, two = _line(sides.first, sides.offset), _line(sides.second, sides.offset)
    if _covers(_UUID, sides):
        return Cause("random: a UUID", _RANDOM.advice)
    numbers = (_number_at(data, sides.offset) for data in (sides.first, sides.second))
    if all(_is_time(number, varied) for number in numbers):
        return Cause("a time of the build, in seconds", _EPOCH_ADVICE)
    if _covers(_DATES, sides) and _DATES.search(one) and _DATES.search(two):
        return Cause("a time of the build", _EPOCH_ADVICE)
    if _covers(_HEX, sides):
        return Cause("random, or a digest of something that differs", _RANDOM.advice)
    return None


def _by_number(sides: Sides, varied: Varied) -> Cause | None:
    """Recognize a time in binary."""
    for start in range(max(0, sides.offset - 7), sides.offset + 1):
        for form in ("<I", ">I", "<Q", ">Q"):
            try:
                (one,) = struct.unpack_from(form, sides.first, start)
                (two,) = struct.unpack_from(form, sides.second, start)
            except struct.error:
                continue
            if one != two and _is_time(one, varied) and _is_time(two, varied):
                return Cause("a time of the build, in binary", _EPOCH_ADVICE)
    return None


def _by_mixture(sides: Sides, varied: Varied) -> Cause | None:
    """Recognize bytes that have nothing in common, and formats that make such."""
    if sides.first.startswith(_GZIP) and sides.second.startswith(_GZIP):
        return _inside(sides, varied)
    if sides.first.startswith(_COMPRESSED) and sides.second.startswith(_COMPRESSED):
        return Cause("what was compressed differs", "compare what went into it")
    one, two = (data[sides.offset : sides.offset + _NEAR] for data in (sides.first, sides.second))
    size = min(len(one), len(two))
    alike = sum(a == b for a, b in zip(one, two, strict=False))
    is_text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in one)
    if size < 8 or is_text or alike * 8 > size:
        return None
    return Cause("random, or encrypted or compressed: the bytes have nothing in common")


def _inside(sides: Sides, varied: Varied) -> Cause:
    """Return the cause of what differs inside of two gzip files."""
    one, two = _unzipped(sides.first), _unzipped(sides.second)
    parts = zip(one, two, strict=False)
    offset = next((n for n, (a, b) in enumerate(parts) if a != b), min(len(one), len(two)))
    if one == two:
        return Cause("the same content, compressed in two ways", "one processor, one version")
    inner = cause_of_content(Sides(sides.path.removesuffix(".gz"), one, two, offset), varied)
    return Cause(f"in what was compressed: {inner.what}", inner.advice)


def _unzipped(data: bytes) -> bytes:
    """Return what is in a gzip file, bounded, as far as it is sound."""
    try:
        return zlib.decompressobj(wbits=31).decompress(data, _LARGEST)
    except zlib.error:
        return b""


def _covers(pattern: re.Pattern[bytes], sides: Sides) -> bool:
    """Say whether in both contents a match of `pattern` holds the first difference."""
    for data in (sides.first, sides.second):
        start = max(0, sides.offset - _NEAR)
        near = data[start : sides.offset + _NEAR]
        at = sides.offset - start
        if not any(m.start() <= at < m.end() for m in pattern.finditer(near)):
            return False
    return True


def _line(data: bytes, offset: int) -> bytes:
    start = max(data.rfind(b"\n", 0, offset) + 1, offset - 4096)
    end = data.find(b"\n", offset)
    return data[start : min(len(data) if end < 0 else end, offset + 4096)]


def _number_at(data: bytes, offset: int) -> float:
    """Return the decimal number that the byte at `offset` belongs to, 0 for none."""
    start = max(0, offset - 24)
    for match in _NUMBER.finditer(data[start : offset + 24]):
        if match.start() <= offset - start < match.end():
            return float(match[0])
    return 0.0


def _is_time(number: float, varied: Varied) -> bool:
    """Say whether a number is a time close to the builds, in s, ms, µs or ns since the epoch."""
    early, late = varied.times[0] - DAY, varied.times[1] + DAY
    return any(early <= number / unit <= late for unit in (1, 10**3, 10**6, 10**9))
