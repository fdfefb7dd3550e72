"""One pattern of an ignore file, compiled to the cheapest thing that matches it.

In: a cleaned pattern without `!`. Out: a `Form`. Source: moby's patternmatcher, which this
follows in what matches; `[...]` and the backslash are read as Go's `filepath.Match` reads them.
`**` is any number of directories, none included.

Patterns in which every `**` stands between slashes (or at an end) become regular expressions
without backtracking over `**`: what stands between two of them takes whole components, so the
first place that fits is as good as any. The others (`a**b`, a class that can match `/`) are
simulated character by character, which is slow and still linear.
"""

from __future__ import annotations

import re

from buildkit.context.glob import CharClass, Star, Token, expression, tokens
from buildkit.context.glob import Literal as LiteralChar
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Kind: TypeAlias = Literal["exact", "name", "prefix", "suffix", "expression", "slow"]


class Gap(NamedTuple):
    """`**` with something behind it: nothing, or anything that ends in a slash."""


class Rest(NamedTuple):
    """`**` at the end: anything."""


Part: TypeAlias = Token | Gap | Rest


class Form(NamedTuple):
    """A compiled pattern; `text` is what the kind compares with.

    `depth` is the number of slashes in everything that matches, None when that varies. For "slow"
    it is the one for which `text`, in which no class matches a slash, tells the whole truth.
    """

    kind: Kind
    text: str
    depth: int | None
    parts: tuple[Part, ...]

    def matches(self, path: str) -> bool:
        """Say whether `path` itself (not a parent of it) matches."""
        match self.kind:
            case "exact":
                return path == self.text
            case "name":
                return path.rpartition("/")[2] == self.text
            case "prefix":
                return path.startswith(self.text)
            case "suffix":
                return path.endswith(self.text)
            case "expression":
                return re.match(self.text, path) is not None
            case "slow":
                if re.match(self.text, path):
                    return True
                return path.count("/") != self.depth and _accepts(self.parts, path)

    def may_match_below(self, directory: str) -> bool:
        """Say whether something below `directory` could match."""
        match self.kind:
            case "name" | "suffix":
                return True
            case "exact":
                return self.text.startswith(f"{directory}/")
            case "prefix":
                return f"{directory}/".startswith(self.text) or self.text.startswith(
                    f"{directory}/"
                )
            case "expression" | "slow":
                # All but the end of the pattern can take at least one more character.
                return any(place != len(self.parts) for place in _feed(self.parts, f"{directory}/"))


def compile_rule(pattern: str) -> Form:
    """Return the form of `pattern`. Raises `BadPattern`."""
    parts = _parts(pattern)
    plain = "".join(part.char for part in parts if isinstance(part, LiteralChar))
    wild = [part for part in parts if not isinstance(part, LiteralChar)]
    if not wild and "\\" not in pattern:
        return Form("exact", plain, None, parts)
    if isinstance(parts[-1], Rest) and len(wild) == 1 and "\\" not in pattern:
        return Form("prefix", plain, None, parts)
    if isinstance(parts[0], Gap) and len(wild) == 1 and "\\" not in pattern:
        if not pattern.startswith("**/"):
            return Form("suffix", plain, None, parts)
        if "/" not in plain:
            return Form("name", plain, None, parts)
    gaps = any(isinstance(part, Gap | Rest) for part in parts)
    depth = None if gaps else parts.count(LiteralChar("/"))
    return Form("slow" if _is_odd(parts) else "expression", _expression(parts), depth, parts)


def _parts(pattern: str) -> tuple[Part, ...]:
    """Return `pattern` as tokens, `**` among them."""
    found: list[Part] = []
    for part in tokens(pattern):
        if isinstance(part, Star) and found and isinstance(found[-1], Star):
            found[-1] = Gap()
        elif part == LiteralChar("/") and found and isinstance(found[-1], Gap):
            # `**/` is `**`: the slash belongs to it.
            continue
        else:
            found.append(part)
    if found and isinstance(found[-1], Gap):
        found[-1] = Rest()
    return tuple(found)


def _is_odd(parts: tuple[Part, ...]) -> bool:
    """Say whether a `**` begins within a component, or a class can match a slash."""
    return any(
        (isinstance(part, Gap) and before not in (None, LiteralChar("/"), Gap()))
        or (isinstance(part, CharClass) and part.accepts("/"))
        for before, part in zip((None, *parts), parts, strict=False)
    )


def _expression(parts: tuple[Part, ...]) -> str:
    """Return a regular expression for `re.match`, exact unless the pattern is odd."""
    runs: list[list[Token]] = [[]]
    end = r"\Z"
    for part in parts:
        match part:
            case Gap():
                runs.append([])
            case Rest():
                end = r".*\Z"
            case _:
                runs[-1].append(part)
    texts = [_components(run) for run in runs]
    if len(texts) == 1:
        return texts[0] + end
    middle = "".join(f"(?>(?:.*?/)??{text})" for text in texts[1:-1])
    return f"{texts[0]}{middle}(?:.*/)?{texts[-1]}{end}"


def _components(run: list[Token]) -> str:
    components: list[list[Token]] = [[]]
    for part in run:
        if part == LiteralChar("/"):
            components.append([])
        else:
            components[-1].append(part)
    return "/".join(expression(tuple(component)) for component in components)


def _accepts(parts: tuple[Part, ...], text: str) -> bool:
    return len(parts) in _feed(parts, text)


def _feed(parts: tuple[Part, ...], text: str) -> set[int]:
    """Run `text` through `parts` as an automaton; return the places reached.

    Place n stands before part n, `len(parts)` is the end; `~n` stands inside the gap n.
    """
    places = _closure(parts, {0})
    for char in text:
        places = _closure(
            parts, {after for place in places for after in _after(parts, place, char)}
        )
        if not places:
            break
    return places


def _after(parts: tuple[Part, ...], place: int, char: str) -> tuple[int, ...]:
    """Return where `char` leads from `place`."""
    if place == len(parts):
        return ()
    match parts[place if place >= 0 else ~place]:
        case LiteralChar(expected):
            return (place + 1,) if char == expected else ()
        case Star():
            return (place,) if char != "/" else ()
        case CharClass() as one:
            return (place + 1,) if one.accepts(char) else ()
        case Gap():
            return (place, ~place + 1) if char == "/" else (place,) if char != "\n" else ()
        case Rest():
            return (place,) if char != "\n" else ()
        case _:
            return (place + 1,) if char != "/" else ()


def _closure(parts: tuple[Part, ...], places: set[int]) -> set[int]:
    """Add to `places` what is reached without a character."""
    todo = list(places)
    reached: set[int] = set()
    while todo:
        place = todo.pop()
        if place in reached:
            continue
        part = parts[place] if 0 <= place < len(parts) else None
        if isinstance(part, Gap):
            # The gap itself is not a place to stand: one is inside it or behind it.
            todo += (place + 1, ~place)
            continue
        reached.add(place)
        if isinstance(part, Star | Rest):
            todo.append(place + 1)
    return reached
