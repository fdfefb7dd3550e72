"""Physical lines to logical ones: continuations joined, comments taken out.

In: a source and its escape token. Out: `LogicalLine` values one by one, and heredoc bodies for
whoever finds an opener in a line. Document: docs/dockerfile.md, chapters 3 and 5.
"""

from __future__ import annotations

from bisect import bisect_right

from grammar.errors import DockerfileError
from grammar.source import Source, Span, Word
from grammar.words import SPACE
from runtime.values import NamedTuple

MAX_LINE = 65535
"""Bytes in a physical line, without its newline."""


class Segment(NamedTuple):
    """From `offset` on, a logical line's text stands in `line` from `column` on."""

    offset: int
    line: int
    column: int


class LogicalLine(NamedTuple):
    """An instruction's text on one line; `blanks` are empty lines that it skipped."""

    path: str
    text: str
    segments: tuple[Segment, ...]
    last_line: int
    comments: tuple[Word, ...]
    blanks: tuple[Span, ...]

    @property
    def first_line(self) -> int:
        """Return the number of the physical line it begins on."""
        return self.segments[0].line

    def span(self, start: int, end: int) -> Span:
        """Return where the characters `start` up to `end` of the text stand in the file."""
        segments = self.segments
        if len(segments) == 1:
            _, line, column = segments[0]
            return Span(self.path, line, start + column, end + column, line)
        first = segments[bisect_right(segments, start, key=_offset) - 1]
        last = segments[max(bisect_right(segments, end - 1, key=_offset) - 1, 0)]
        if last.line < first.line:
            last = first
        return Span(
            self.path,
            first.line,
            start - first.offset + first.column,
            end - last.offset + last.column,
            last.line,
        )

    def word(self, start: int, end: int) -> Word:
        """Return the characters `start` up to `end` as a word."""
        return Word(self.text[start:end], self.span(start, end))


def _offset(segment: Segment) -> int:
    return segment.offset


class LineReader:
    """Reads a source from top to bottom."""

    def __init__(self, source: Source, escape: str, *, skip: int = 0) -> None:
        """Start behind the first `skip` lines, which hold the directives."""
        self.path = source.path
        self.escape = escape
        self.lines = source.text.split("\n")
        if not self.lines[-1]:
            del self.lines[-1]
        self.position = skip

    def next_line(self) -> LogicalLine | None:
        """Return the next instruction's line, None at the end of the file.

        Raises DockerfileError for a line that is too long.
        """
        comments: list[Word] = []
        while self.position < len(self.lines):
            physical = self._take()
            text = physical.lstrip(SPACE)
            if not text:
                comments.clear()
            elif text[0] == "#":
                self._collect(comments, physical)
            else:
                return self._joined(text, len(physical) - len(text), tuple(comments))
        return None

    def body(self, name: str, *, chomp: bool) -> str | None:
        """Return the lines up to the one that is `name`, and step over that; None if none is."""
        start = self.position
        while self.position < len(self.lines):
            text = self._take()
            if (text.lstrip("\t") if chomp else text) == name:
                lines = self.lines[start : self.position - 1]
                return "".join(f"{line}\n" for line in lines)
        return None

    def _take(self) -> str:
        """Return the next physical line without its end."""
        line = self.lines[self.position]
        self.position += 1
        too_long = len(line) > MAX_LINE // 4 and (
            len(line.encode("utf-8", errors="surrogatepass")) > MAX_LINE
        )
        if too_long:
            raise DockerfileError(
                f"dockerfile line greater than max allowed size of {MAX_LINE}",
                span=Span(self.path, self.position, 0, 0, self.position),
            )
        return line.rstrip("\r")

    def _collect(self, comments: list[Word], physical: str) -> None:
        """Add a comment; an empty one makes a new start."""
        after = physical.index("#") + 1
        text = physical[after:].strip(SPACE)
        if not text:
            comments.clear()
            return
        start = physical.index(text, after)
        number = self.position
        span = Span(self.path, number, start, start + len(text), number)
        comments.append(Word(text, span))

    def _joined(self, text: str, column: int, comments: tuple[Word, ...]) -> LogicalLine:
        """Return the logical line that begins with `text`."""
        segments = [Segment(0, self.position, column)]
        blanks: list[Span] = []
        text, continues = self._continuation(text)
        if not continues:
            last_line = self.position
            return LogicalLine(self.path, text, tuple(segments), last_line, comments, ())
        parts, offset = [text], len(text)
        while continues and self.position < len(self.lines):
            physical = self._take()
            stripped = physical.lstrip(SPACE)
            if not stripped:
                number = self.position
                blanks.append(Span(self.path, number, 0, len(physical), number))
            elif stripped[0] != "#":
                text, continues = self._continuation(physical)
                segments.append(Segment(offset, self.position, 0))
                parts.append(text)
                offset += len(text)
        return LogicalLine(
            self.path, "".join(parts), tuple(segments), self.position, comments, tuple(blanks)
        )

    def _continuation(self, text: str) -> tuple[str, bool]:
        """Return `text` without its continuation, and whether it had one.

        One escape token, then blanks: a doubled token at the end does not continue.
        """
        stripped = text.rstrip(" \t")
        if not stripped.endswith(self.escape) or stripped.endswith(self.escape * 2):
            return text, False
        return stripped[:-1], True
