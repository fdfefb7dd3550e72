"""InvalidJSONForm: what looks like a JSON array is none, and so becomes shell text or words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from grammar.instructions import (
    Add,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Healthcheck,
    Instruction,
    Run,
    ShellForm,
    Volume,
)
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything
from grammar.source import Span

_ELEMENT = r"(?:\"[^\"]*\"|'[^']*'|[\u201c\u201d][^\u201c\u201d]*[\u201c\u201d])"
_ARRAY = re.compile(rf"\[\s*{_ELEMENT}\s*(?:,|\]|$)")
_TEST = re.compile(rf"\[\s+{_ELEMENT}\s+\]")
"""`[ "$x" ]`, which a shell takes for a test."""

_QUOTES = ("'", '"', "\u201c", "\u201d")
_STRAIGHT = str.maketrans("\u201c\u201d\u2018\u2019", "\"\"''")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at arguments that begin with a bracket and are no array."""
    for instruction in everything(dockerfile):
        found = _arguments(instruction)
        if found is None:
            continue
        text, span = found
        if _looks_like_json(instruction, text):
            words = isinstance(instruction, Add | Copy | Volume)
            form = "separate words" if words else "a shell command"
            yield RULE.finding(
                f"Arguments of {instruction.keyword.text} look like a JSON array, but are no valid"
                f" one and are taken as {form}",
                instruction.span,
                span,
                _edits(text, span),
            )


def _arguments(instruction: Instruction) -> tuple[str, Span] | None:
    match instruction:
        case Run(command=ShellForm() as form) | Cmd(command=ShellForm() as form):
            return form
        case Entrypoint(command=ShellForm() as form) | Healthcheck(command=ShellForm() as form):
            return form
        case Copy() | Add() if instruction.sources and "[" in instruction.sources[0].text:
            span = instruction.sources[0].span.to(instruction.destination.span)
            return _original(instruction, instruction.sources[0].text), span
        case Volume() if "[" in instruction.paths[0].text:
            span = instruction.paths[0].span.to(instruction.paths[-1].span)
            return _original(instruction, instruction.paths[0].text), span
        case _:
            return None


def _original(instruction: Add | Copy | Volume, first: str) -> str:
    """Return the text of the instruction from its first word on."""
    text = instruction.original
    return text[max(text.find(first), 0) :]


def _looks_like_json(instruction: Instruction, text: str) -> bool:
    if not text.startswith("["):
        return False
    match instruction:
        case Cmd() | Entrypoint() if text.endswith("]"):
            return True
        case Add() | Copy() | Volume():
            return text[1:].lstrip()[:1] in _QUOTES
        case _:
            return _ARRAY.match(text) is not None and not _TEST.match(text)


def _edits(text: str, span: Span) -> list[Edit]:
    """Return the array with proper quotes and commas, if that makes it one."""
    if span.line != span.last_line:
        return []
    straight = text.translate(_STRAIGHT)
    for candidate in (straight, straight.replace("'", '"')):
        if '"' in straight and "'" in straight and candidate != straight:
            continue
        closed = candidate if candidate.endswith("]") else f"{candidate}]"
        repaired = re.sub(r",\s*\]$", "]", closed)
        try:
            values = json.loads(repaired)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, list) and values and all(isinstance(one, str) for one in values):
            return [Edit(span, repaired)]
    return []


RULE = Rule(
    "InvalidJSONForm",
    "An array that is no valid JSON is silently taken for shell text or words",
    "trap",
    check,
)
