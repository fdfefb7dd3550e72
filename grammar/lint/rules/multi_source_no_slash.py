"""MultiSourceNoSlash: several sources, and a destination that is not marked as a directory."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Add, Copy, Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at COPY and ADD with more than one source, or with a wildcard."""
    for instruction in everything(dockerfile):
        if not isinstance(instruction, Copy | Add) or _is_one_file(instruction):
            continue
        destination = instruction.destination
        path = destination.text
        if path.endswith(("/", "/.")) or path in (".", "..") or "$" in path:
            continue
        is_plain = destination.span.line == destination.span.last_line and _is_plain(path)
        is_word = destination.span.end - destination.span.start == len(path)
        yield RULE.finding(
            f"{instruction.keyword.text} of several files needs a destination that ends with /",
            instruction.span,
            destination.span,
            [Edit(destination.span, f"{path}/")] if is_plain and is_word else (),
        )


def _is_one_file(instruction: Copy | Add) -> bool:
    if len(instruction.sources) + len(instruction.heredocs) > 1:
        return isinstance(instruction, Copy) and instruction.parents
    if isinstance(instruction, Copy) and instruction.parents:
        return True
    return not any(any(char in source.text for char in "*?[") for source in instruction.sources)


def _is_plain(path: str) -> bool:
    return not any(char in path for char in "\"'\\`[]")


RULE = Rule(
    "MultiSourceNoSlash",
    "The destination of several files must be a directory and end with a /",
    "trap",
    check,
)
