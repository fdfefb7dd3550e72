"""What can be wrong with a text, and how it is shown.

    GrammarError            message, span (where), hint (what to do)
    ├── DockerfileError     the file is no Dockerfile; shown as "dockerfile parse error on line N: "
    ├── ExpansionError      a word cannot be expanded
    └── FlagError           the value of a flag or argument, once expanded, means nothing

Document: docs/dockerfile.md, chapter 14. Nothing that came from a file is printed raw: control
characters are escaped.
"""

from __future__ import annotations

from grammar.urls import blotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from grammar.source import Source, Span


_RULE = "-" * 20
_WIDTH = 160
"""Longest piece of a line that an excerpt shows."""

_LONGEST = 800
"""Characters of a message; a word in it may be a whole line of 64 KiB."""

_NEAR = 20
"""How far from the place itself an excerpt goes in a very long instruction."""

_NAMED = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


class GrammarError(Exception):
    """Base of this package's errors; `message` is one line.

    `span` is the very place, `whole` the instruction that it lies in, if that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        span: Span | None = None,
        hint: str | None = None,
        whole: Span | None = None,
    ) -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 4 :]}"
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint
        self.whole = whole

    def __str__(self) -> str:
        return self.message

    @property
    def line(self) -> int | None:
        """Return the line to name: where the instruction begins, as BuildKit has it."""
        place = self.whole or self.span
        return None if place is None else place.line

    def at(self, span: Span) -> Self:
        """Return this error placed at `span`, unless it has a place already."""
        return type(self)(self.message, span=self.span or span, hint=self.hint, whole=self.whole)

    def within(self, whole: Span) -> Self:
        """Return this error as one of the instruction at `whole`."""
        return type(self)(
            self.message, span=self.span or whole, hint=self.hint, whole=self.whole or whole
        )

    def render(self, source: Source) -> str:
        """Return the error as people see it: place, excerpt, message, hint; no final newline."""
        parts = [] if self.span is None else [excerpt(source, self.span, self.whole)]
        parts.append(visible(str(self)))
        if self.hint is not None:
            parts.append(f"hint: {visible(self.hint)}")
        return "\n".join(parts)


class DockerfileError(GrammarError):
    """The text is not a Dockerfile. Without a place, the fault is in the file as a whole."""

    def __str__(self) -> str:
        if self.line is None:
            return self.message
        return f"dockerfile parse error on line {self.line}: {self.message}"


class ExpansionError(GrammarError):
    """A word whose quotes or variables make no sense, or a variable that must be set."""


class FlagError(GrammarError):
    """A value that is none: a mount, a duration, a port, a signal, a mode."""


def excerpt(source: Source, span: Span, whole: Span | None = None) -> str:
    """Return the lines of `whole` marked with `>>>`, and carets below `span` if it is in one line.

    Two lines either side of a single line are shown, one of a range; more on one side if the other
    is cut off by an end of the file.
    """
    lines = source.lines()
    whole = whole or span
    last = min(whole.last_line, len(lines))
    first_shown, last_shown = _shown(whole.line, last, len(lines))
    first_shown = max(first_shown, span.line - _NEAR)
    last_shown = min(last_shown, span.line + _NEAR)
    shown = [f"{visible(whole.path)}:{whole.line}", _RULE]
    for number in range(first_shown, last_shown + 1):
        text = blotted(lines[number - 1])
        is_marked = number == span.line == span.last_line and 0 < span.end <= len(text)
        window = _window(text, span) if is_marked else (0, _WIDTH)
        arrow = ">>>" if whole.line <= number <= last else "   "
        shown.append(f"{number:4} | {arrow} {_clip(text, *window)}".rstrip())
        if is_marked:
            shown.append(f"     |     {_carets(text, span, *window)}")
    shown.append(_RULE)
    return "\n".join(shown)


def _shown(first: int, last: int, total: int) -> tuple[int, int]:
    """Return the first and last line to show around the lines `first` to `last`."""
    around = 2 if first == last else 1
    missing_below = max(last + around - total, 0)
    missing_above = max(around + 1 - first, 0)
    return max(first - around - missing_below, 1), min(last + around + missing_above, total)


def _window(text: str, span: Span) -> tuple[int, int]:
    """Return which part of a very long line to show: the one around the span."""
    if len(text) <= _WIDTH:
        return 0, len(text)
    start = max(0, min(span.start - _WIDTH // 4, len(text) - _WIDTH))
    return start, start + _WIDTH


def _clip(text: str, start: int, end: int) -> str:
    left = "…" if start > 0 else ""
    right = "…" if end < len(text) else ""
    return f"{left}{visible(text[start:end], keep_tabs=True)}{right}"


def _carets(text: str, span: Span, start: int, end: int) -> str:
    before = visible(text[start : span.start], keep_tabs=True)
    under = visible(text[span.start : min(span.end, end)])
    indent = "".join("\t" if char == "\t" else " " for char in before)
    return f"{' ' if start > 0 else ''}{indent}{'^' * max(len(under), 1)}"


def visible(text: str, *, keep_tabs: bool = False) -> str:
    """Return `text` with its control and direction-changing characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or (keep_tabs and char == "\t") else _escape(char)
        for char in text
    )


def quote(text: str) -> str:
    """Return `text` in double quotes, the way Go's %q writes it in the messages users know."""
    body = "".join(
        f"\\{char}" if char in '"\\' else char if char.isprintable() else _escape(char)
        for char in text
    )
    return f'"{body}"'


def _escape(char: str) -> str:
    code = ord(char)
    if code in _NAMED:
        return _NAMED[code]
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
