"""What can be wrong with a text, and how it is shown.

    GrammarError            message, span (where), hint (what to do)
    ├── DockerfileError     the file is no Dockerfile; shown as "dockerfile parse error on line N: "
    ├── ExpansionError      a word cannot be expanded
    └── FlagError           the value of a flag or argument, once expanded, means nothing

Document: dockerfile.md chapter 14. Nothing that came from a file is printed raw: control
characters are escaped.
"""

from typing import Self

from grammar.source import Source, Span

_RULE = "-" * 20
_WIDTH = 160
"""Longest piece of a line that an excerpt shows."""

_NAMED = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


class GrammarError(Exception):
    """Base of this package's errors; `message` is one line."""

    def __init__(self, message: str, *, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def at(self, span: Span) -> Self:
        """Return this error placed at `span`, unless it has a place already."""
        if self.span is not None:
            return self
        return type(self)(self.message, span=span, hint=self.hint)

    def render(self, source: Source) -> str:
        """Return the error as people see it: place, excerpt, message, hint; no final newline."""
        parts = [] if self.span is None else [excerpt(source, self.span)]
        parts.append(visible(str(self)))
        if self.hint is not None:
            parts.append(f"hint: {visible(self.hint)}")
        return "\n".join(parts)


class DockerfileError(GrammarError):
    """The text is not a Dockerfile. Without a span, the fault is in the file as a whole."""

    def __str__(self) -> str:
        if self.span is None:
            return self.message
        return f"dockerfile parse error on line {self.span.line}: {self.message}"


class ExpansionError(GrammarError):
    """A word whose quotes or variables make no sense, or a variable that must be set."""


class FlagError(GrammarError):
    """A value that is none: a mount, a duration, a port, a signal, a mode."""


def excerpt(source: Source, span: Span) -> str:
    """Return the lines of `span` marked with `>>>`, with carets if it lies within one line.

    Two lines either side of a single line are shown, one of a range; more on one side if the other
    is cut off by an end of the file.
    """
    lines = source.lines()
    last = min(span.last_line, len(lines))
    around = 2 if span.line == last else 1
    first_shown = max(span.line - around - max(last + around - len(lines), 0), 1)
    last_shown = min(last + around + max(around + 1 - span.line, 0), len(lines))
    shown = [f"{span.path}:{span.line}", _RULE]
    for number in range(first_shown, last_shown + 1):
        text = lines[number - 1]
        inside = span.line <= number <= last
        cut = _window(text, span) if number == span.line == last else (0, _WIDTH)
        shown.append(f"{number:4} | {'>>>' if inside else '   '} {_clip(text, *cut)}".rstrip())
        if number == span.line == last and 0 <= span.start < span.end <= len(text):
            shown.append(f"     |     {_carets(text, span, *cut)}")
    shown.append(_RULE)
    return "\n".join([visible(shown[0]), *shown[1:]])


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
