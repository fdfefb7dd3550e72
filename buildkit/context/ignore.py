"""`.dockerignore` and `--exclude`: which paths a list of patterns hides.

In: the bytes of an ignore file, or patterns. Out: for a path the rule that decides, and for a
directory whether a walk may leave it out. Source: reference of the ignore file and moby's
patternmatcher: the last rule that matches a path *or one of its parents* decides.

A walk keeps one number a directory, the last rule that matched it or a parent (`NO_RULE` at the
root). For a child only later rules are asked, and most of those through a dictionary, one
`endswith` or one regular expression for all of them, which is what makes it cheap on 10^5 files.
"""

from __future__ import annotations

import os
import re

from buildkit.context.glob import BadPattern
from buildkit.context.ignore_rule import Form, compile_rule
from buildkit.context.paths import clean
from buildkit.errors import ContextError
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self


NO_RULE = -1

_BOM = b"\xef\xbb\xbf"
_LINE_LIMIT = 65536
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class Rule(NamedTuple):
    """A line of an ignore file: its number (from 1), its text, whether it hides or brings back."""

    line: int
    text: str
    excludes: bool


class Patterns:
    """An ordered list of rules. Made by `parse` or `of`."""

    __slots__ = ("_by_depth", "_exact", "_exceptions", "_names", "_prefixes", "forms", "rules")

    def __init__(self, rules: Iterable[tuple[Rule, Form]]) -> None:
        kept = tuple(rules)
        self.rules = tuple(rule for rule, _ in kept)
        self.forms = tuple(form for _, form in kept)
        self._exact: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._prefixes: list[tuple[int, str]] = []
        for number, form in enumerate(self.forms):
            match form.kind:
                case "exact":
                    self._exact[form.text] = number
                case "name":
                    self._names[form.text] = number
                case "prefix":
                    self._prefixes.append((number, form.text))
                case "suffix" | "expression" | "slow":
                    pass  # these wait in a table for each depth
        self._exceptions = tuple(
            number for number, rule in enumerate(self.rules) if not rule.excludes
        )
        self._by_depth: dict[int, _Table] = {}

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """Return the rules of an ignore file. Raises ContextError, which names `path`."""
        rules: list[tuple[Rule, Form]] = []
        for line, raw in enumerate(data.removeprefix(_BOM).split(b"\n"), start=1):
            if len(raw) >= _LINE_LIMIT:
                raise ContextError(f"{path}:{line}: line greater than max allowed size of 65535")
            if raw.startswith(b"#"):
                continue
            text = os.fsdecode(raw.removesuffix(b"\r")).strip(_SPACE)
            if not text:
                continue
            try:
                rules.append(_rule(line, text))
            except ValueError as error:
                raise ContextError(f"{path}:{line}: {error}") from None
        return cls(rules)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Return `patterns` as rules, numbered from 1. Raises ValueError on a malformed one."""
        texts = (pattern.strip(_SPACE) for pattern in patterns)
        return cls(_rule(number, text) for number, text in enumerate(texts, 1) if text)

    def step(self, state: int, path: str) -> int:
        """Return the state of `path`, whose directory has `state`."""
        if state + 1 == len(self.rules):
            return state
        table = self._by_depth.get(depth := path.count("/"))
        if table is None:
            table = self._by_depth[depth] = self._table(depth)
        name = path[path.rfind("/") + 1 :] if depth else path
        best = max(state, self._exact.get(path, NO_RULE), self._names.get(name, NO_RULE))
        for number, prefix in self._prefixes:
            if number > best and path.startswith(prefix):
                best = number
        if table.suffixes and path.endswith(table.suffixes):
            best = max(best, *(n for n, suffix in table.suffix_rules if path.endswith(suffix)))
        if table.last > best:
            best = max(best, table.match(path))
        return best

    def state_of(self, path: str) -> int:
        """Return the state of `path` from nothing: the last rule matching it or a parent."""
        state, end = NO_RULE, 0
        while path and end >= 0:
            end = path.find("/", end + 1)
            state = self.step(state, path if end < 0 else path[:end])
        return state

    def hides(self, state: int) -> bool:
        """Say whether something with `state` is left out."""
        return state != NO_RULE and self.rules[state].excludes

    def excludes(self, path: str) -> bool:
        """Say whether `path` is left out."""
        return self.hides(self.state_of(path))

    def rule_for(self, path: str) -> Rule | None:
        """Return the rule that decides about `path`, None when none matches."""
        state = self.state_of(path)
        return None if state == NO_RULE else self.rules[state]

    def may_match_below(self, directory: str, state: int = NO_RULE) -> bool:
        """Say whether an exception later than `state` can match below `directory`.

        True may be a false alarm, False never is: then a hidden directory need not be walked.
        """
        return any(
            number > state and self.forms[number].may_match_below(directory)
            for number in reversed(self._exceptions)
        )

    def _table(self, depth: int) -> _Table:
        """Collect what can match paths with `depth` slashes and is not in a dictionary."""
        suffixes: list[tuple[int, str]] = []
        expressions: list[tuple[int, str]] = []
        slow: list[tuple[int, Form]] = []
        for number, form in enumerate(self.forms):
            if form.kind != "slow" and form.depth not in (None, depth):
                continue
            match form.kind:
                case "suffix":
                    suffixes.append((number, form.text))
                case "expression":
                    expressions.append((number, form.text))
                case "slow":
                    slow.append((number, form))
                case "exact" | "name" | "prefix":
                    pass  # these are in dictionaries
        return _Table(suffixes, expressions, slow)


class _Table:
    """Rules for one depth; `last` is the highest number in `match`'s care."""

    __slots__ = ("_expression", "_numbers", "_slow", "last", "suffix_rules", "suffixes")

    def __init__(
        self,
        suffixes: list[tuple[int, str]],
        expressions: list[tuple[int, str]],
        slow: list[tuple[int, Form]],
    ) -> None:
        self.suffix_rules = tuple(suffixes)
        self.suffixes = tuple(text for _, text in suffixes)
        # Latest first: the first alternative that matches is the last rule that does.
        expressions.sort(reverse=True)
        self._numbers = tuple(number for number, _ in expressions)
        self._expression = (
            re.compile("|".join(f"({text})" for _, text in expressions)) if expressions else None
        )
        self._slow = tuple(reversed(slow))
        self.last = max([NO_RULE, *self._numbers, *(number for number, _ in slow)])

    def match(self, path: str) -> int:
        best = NO_RULE
        if self._expression is not None and (found := self._expression.match(path)):
            best = self._numbers[(found.lastindex or 1) - 1]
        for number, form in self._slow:
            if number > best and form.matches(path):
                return number
        return best


def _rule(line: int, text: str) -> tuple[Rule, Form]:
    """Return the rule of a trimmed line, and its pattern compiled. Raises ValueError."""
    inverted = text.startswith("!")
    pattern = text[1:].strip(_SPACE) if inverted else text
    pattern = clean(pattern) if pattern else ""
    if inverted and pattern in ("", "/"):
        raise ValueError('illegal exclusion pattern: "!"')
    if len(pattern) > 1:
        pattern = pattern.removeprefix("/")
    return Rule(line, text, not inverted), compile_rule(pattern)


__all__ = ["NO_RULE", "BadPattern", "Patterns", "Rule"]
