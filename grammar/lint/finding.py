"""What lint finds, as values.

In and out: nothing but values. A finding has the lines of the instruction that is meant, the very
place in it if there is one, and the edits that repair it if there is one obvious repair.
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from grammar.source import Span


class Edit(NamedTuple):
    """Put `text` where `span` is. One that ends at column 0 of the next line takes the newline."""

    span: Span
    text: str


class Finding(NamedTuple):
    """`rule` is the rule's name, `span` the instruction that is meant, `place` the spot in it."""

    rule: str
    message: str
    span: Span
    place: Span | None = None
    edits: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        return f"{self.rule}: {self.message} (line {self.span.line})"
