"""The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`.

In: a value and a pattern of literal characters, `*` (any characters) and `?` (one). Out: the value
with matches removed or replaced. Document: docs/dockerfile.md, 6.2. Matching goes from one
literal run to the next and never back, so it takes no more than value times longest run.
"""

from __future__ import annotations

import re

from grammar.errors import ExpansionError
from runtime.values import NamedTuple

MAX_PATTERN = 1024
"""Longest pattern; it bounds the work of a run with many `?`."""


class _Run(NamedTuple):
    """What stands between two stars: None is any one character."""

    chars: tuple[str | None, ...]

    def find(self, text: str, start: int) -> int:
        """Return where the run first occurs at or after `start`; -1 for nowhere."""
        if None not in self.chars:
            return text.find("".join(char or "" for char in self.chars), start)
        source = "".join("." if char is None else re.escape(char) for char in self.chars)
        found = re.compile(source, re.DOTALL).search(text, start)
        return -1 if found is None else found.start()

    def at(self, text: str, start: int) -> bool:
        """Say whether the run occurs at `start`."""
        part = text[start : start + len(self.chars)]
        return len(part) == len(self.chars) and all(
            char is None or char == other for char, other in zip(self.chars, part, strict=True)
        )

    def reversed(self) -> _Run:
        """Return the run read backwards."""
        return _Run(self.chars[::-1])


def trim(value: str, pattern: str, modifier: str) -> str:
    """Return `value` without a prefix (`#`) or suffix (`%`) that matches.

    The shortest one, or the longest if `pattern` begins with the modifier once more.
    """
    longest = pattern.startswith(modifier)
    runs = _parse(pattern[1:] if longest else pattern)
    if modifier == "#":
        end = _prefix(value, runs, longest=longest)
        return value if end is None else value[end:]
    end = _prefix(value[::-1], [run.reversed() for run in runs[::-1]], longest=longest)
    return value if end is None else value[: len(value) - end]


def replace(value: str, pattern: str, replacement: str, *, every: bool, room: int) -> str:
    """Return `value` with the first or every longest match of `pattern` replaced.

    As in Go, an empty match right behind another match does not count. Raises ExpansionError if
    the result would have more than `room` characters.
    """
    runs = _parse(pattern)
    parts: list[str] = []
    done = position = size = 0
    while position <= len(value):
        start = runs[0].find(value, position)
        end = None if start < 0 else _prefix(value[start:], runs, longest=True)
        if end is None:
            break
        end += start
        if end > start or start > done or start == 0:
            parts += (value[done:start], replacement)
            size += start - done + len(replacement)
            done = end
        if size > room:
            raise ExpansionError(f"expands to more than {room} characters")
        position = end if end > start else end + 1
        if not every or len(runs) > 1:
            break
    return "".join(parts) + value[done:]


def _prefix(text: str, runs: list[_Run], *, longest: bool) -> int | None:
    """Return the length of the shortest or longest prefix of `text` that matches."""
    if not runs[0].at(text, 0):
        return None
    position = len(runs[0].chars)
    if len(runs) == 1:
        return position
    for run in runs[1:-1] if longest else runs[1:]:
        start = run.find(text, position)
        if start < 0:
            return None
        position = start + len(run.chars)
    if not longest:
        return position
    backwards = runs[-1].reversed().find(text[position:][::-1], 0)
    return None if backwards < 0 else len(text) - backwards


def _parse(pattern: str) -> list[_Run]:
    if len(pattern) > MAX_PATTERN:
        raise ExpansionError(f"a pattern of more than {MAX_PATTERN} characters in substitution")
    runs: list[_Run] = []
    chars: list[str | None] = []
    rest = iter(pattern)
    for char in rest:
        if char == "*":
            runs.append(_Run(tuple(chars)))
            chars = []
        elif char == "?":
            chars.append(None)
        elif char == "\\":
            chars.append(_escaped(next(rest, ""), pattern))
        else:
            chars.append(char)
    runs.append(_Run(tuple(chars)))
    return runs


def _escaped(char: str, pattern: str) -> str:
    if char and char in "*?\\}/":
        return char
    raise ExpansionError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{char}'")
