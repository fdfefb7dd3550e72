r"""Wildcards of one path, as Go's `filepath.Match` understands them.

In: a pattern (`*`, `?`, `[a-z]`, `[^a]`, `\` before a literal character). Out: tokens, a compiled
pattern, or `BadPattern`. `*` and `?` stop at `/`. Matching takes time proportional to the product
of both lengths at worst: each `*` but the last commits to the first place where what follows
fits, which is never wrong as long as a `*` can stand for anything up to the next `/`.
"""

from __future__ import annotations

import re

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


class BadPattern(ValueError):  # noqa: N818 - Go's name for it
    """The pattern is malformed; the message is Go's."""

    def __init__(self, pattern: str) -> None:
        super().__init__(f"syntax error in pattern: {pattern!r}")
        self.pattern = pattern


class Literal(NamedTuple):
    """One character that stands for itself."""

    char: str


class Star(NamedTuple):
    """`*`: any number of characters but `/`."""


class AnyChar(NamedTuple):
    """`?`: one character but `/`."""


class CharClass(NamedTuple):
    """`[...]`: one character within (or, negated, outside) `ranges`, ends included."""

    negated: bool
    ranges: tuple[tuple[str, str], ...]

    def accepts(self, char: str) -> bool:
        """Say whether `char` fits."""
        return any(low <= char <= high for low, high in self.ranges) != self.negated


Token: TypeAlias = Literal | Star | AnyChar | CharClass


def tokens(pattern: str) -> tuple[Token, ...]:
    """Return `pattern` as tokens. Raises `BadPattern`."""
    found: list[Token] = []
    place = 0
    while place < len(pattern):
        char = pattern[place]
        place += 1
        if char == "*":
            found.append(Star())
        elif char == "?":
            found.append(AnyChar())
        elif char == "[":
            token, place = _char_class(pattern, place)
            found.append(token)
        elif char == "\\":
            if place == len(pattern):
                raise BadPattern(pattern)
            found.append(Literal(pattern[place]))
            place += 1
        else:
            found.append(Literal(char))
    return tuple(found)


def _char_class(pattern: str, place: int) -> tuple[CharClass, int]:
    """Read a class whose `[` has been read; return it and the place behind its `]`."""
    negated = pattern[place : place + 1] == "^"
    place += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern[place : place + 1] == "]"):
        low, place = _class_char(pattern, place)
        high = low
        if pattern[place : place + 1] == "-":
            high, place = _class_char(pattern, place + 1)
        ranges.append((low, high))
    return CharClass(negated, tuple(ranges)), place + 1


def _class_char(pattern: str, place: int) -> tuple[str, int]:
    char = pattern[place : place + 1]
    if char in ("", "-", "]"):
        raise BadPattern(pattern)
    if char == "\\":
        place += 1
        char = pattern[place : place + 1]
    # A class that nothing closes is malformed, wherever it ends.
    if not char or place + 1 == len(pattern):
        raise BadPattern(pattern)
    return char, place + 1


def has_wildcards(text: str) -> bool:
    """Say whether `text` holds a `*`, `?` or `[` that no backslash protects."""
    return re.search(r"(?s)^(?:[^\\*?\[]|\\.)*[*?\[]", text) is not None


def unescape(text: str) -> str:
    """Return what `text`, which has no wildcards, literally stands for."""
    return re.sub(r"(?s)\\(.)", r"\1", text)


def expression(parts: tuple[Token, ...]) -> str:
    """Return a regular expression for one path component; the caller anchors both its ends."""
    chunks: list[list[str]] = [[]]
    for part in parts:
        match part:
            case Star():
                chunks.append([])
            case AnyChar():
                chunks[-1].append("[^/]")
            case Literal(char):
                chunks[-1].append(re.escape(char))
            case CharClass():
                chunks[-1].append(_class_expression(part))
    first, *rest = ("".join(chunk) for chunk in chunks)
    if not rest:
        return first
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in rest[:-1] if chunk)
    return f"(?>{first}{middle}[^/]*{rest[-1]})"


def _class_expression(part: CharClass) -> str:
    inside = "".join(
        f"{re.escape(low)}-{re.escape(high)}" for low, high in part.ranges if low <= high
    )
    if part.negated:
        return f"[^/{inside}]"
    guard = "(?!/)" if part.accepts("/") else ""
    return f"{guard}[{inside}]" if inside else r"[^\s\S]"


def compile_name(pattern: str) -> re.Pattern[str]:
    """Return `pattern`, which holds no `/`, for `fullmatch` on names. Raises `BadPattern`."""
    return re.compile(f"(?s:{expression(tokens(pattern))})")
