"""A Dockerfile's text, and places in it.

In: bytes or text. Out: `Source`, and `Span` values that point into it. Lines count from 1, columns
from 0 and in characters; a column shown to people is one more. Document: docs/dockerfile.md,
chapter 1.
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


BOM = "\ufeff"


class Span(NamedTuple):
    """Characters `start` up to `end` of `line`; in a longer span, `end` lies on `last_line`."""

    path: str
    line: int
    start: int
    end: int
    last_line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.start + 1}"

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of `other`."""
        return Span(self.path, self.line, self.start, other.end, other.last_line)


class Word(NamedTuple):
    """A piece of an instruction as it was written: quotes, escapes and variables still in it."""

    text: str
    span: Span

    def __str__(self) -> str:
        return self.text


class Source(NamedTuple):
    """The text of one file and the name by which messages call it."""

    path: str
    text: str

    @classmethod
    def decode(cls, path: str, data: bytes) -> Self:
        """Return the text of `data`; a byte-order mark is dropped, bad UTF-8 becomes U+FFFD.

        Comments in other encodings are common and harmless, so they must not stop a build.
        """
        return cls(path, data.decode("utf-8", errors="replace").removeprefix(BOM))

    @classmethod
    def read(cls, path: str) -> Self:
        """Return the source in the file at `path`. Raises OSError."""
        with open(path, "rb") as file:
            return cls.decode(path, file.read())

    def lines(self) -> list[str]:
        """Return the physical lines without their ends; a final newline starts no line."""
        lines = self.text.split("\n")
        if not lines[-1]:
            del lines[-1]
        return [line.rstrip("\r") for line in lines]
