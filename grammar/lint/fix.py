"""Repairs: the edits of findings, applied to the text they came from.

In: a text as it was parsed, and findings. Out: the new text, and which findings are repaired in
it. Edits that touch each other are left for the next round.
"""

from __future__ import annotations

from collections.abc import Iterable

from grammar.lint.finding import Edit, Finding
from grammar.source import Span
from runtime.values import NamedTuple


class Repaired(NamedTuple):
    """A text and the findings that are no more."""

    text: str
    findings: tuple[Finding, ...]


def repair(text: str, findings: Iterable[Finding]) -> Repaired:
    """Return `text` with the edits of `findings` made; `text` is that of their source."""
    starts = _line_starts(text)
    done: list[Finding] = []
    taken: list[tuple[int, int, str]] = []
    for finding in findings:
        places = [(*_offsets(edit.span, starts, text), edit.text) for edit in finding.edits]
        if not places or any(_touches(place, other) for place in places for other in taken):
            continue
        taken += places
        done.append(finding)
    for start, end, new in sorted(taken, reverse=True):
        text = text[:start] + new + text[end:]
    return Repaired(text, tuple(done))


def whole_line(span: Span) -> Edit:
    """Return the edit that takes out the line that `span` is on."""
    return Edit(Span(span.path, span.line, 0, 0, span.line + 1), "")


def _line_starts(text: str) -> list[int]:
    starts, position = [0], text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return starts


def _offsets(span: Span, starts: list[int], text: str) -> tuple[int, int]:
    start = starts[span.line - 1] + span.start
    if span.last_line > len(starts):
        return start, len(text)
    return start, starts[span.last_line - 1] + span.end


def _touches(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
