"""A Dockerfile as stable text, for fixtures and for looking at.

In: a `Dockerfile`. Out: lines; a field a line below its instruction, fields that say nothing left
out. The text is for people and for comparing; nothing reads it back.
"""

from __future__ import annotations

from typing import TypeAlias

from grammar.errors import quote
from grammar.instructions import (
    Argument,
    Dockerfile,
    ExecForm,
    Flag,
    Heredoc,
    Instruction,
    Onbuild,
    Pair,
    ShellForm,
    name_of,
)
from grammar.source import Span, Word

_COMMON = ("keyword", "flags", "comments", "span", "original", "instruction")
"""Fields with a place of their own in the text, or that the others imply."""

Value: TypeAlias = object


def dump(dockerfile: Dockerfile) -> str:
    """Return the text of `dockerfile`, with a newline at the end."""
    lines = [
        f"directive {found.name} {quote(found.value)} {_place(found.span)}"
        for found in dockerfile.directives
    ]
    lines += (f"empty continuation {_place(blank)}" for blank in dockerfile.empty_continuations)
    for arg in dockerfile.global_args:
        lines += dump_instruction(arg)
    for stage in dockerfile.stages:
        lines.append(f"stage {stage.number}{f' {stage.name}' if stage.name else ''}")
        for instruction in (stage.base, *stage.instructions):
            lines += (f"  {line}" for line in dump_instruction(instruction))
    return "\n".join(lines) + "\n"


def dump_instruction(instruction: Instruction) -> list[str]:
    """Return the lines of one instruction."""
    lines = [f"{name_of(instruction)} {_place(instruction.span)}"]
    if instruction.keyword.text != name_of(instruction):
        lines.append(f"  written {instruction.keyword.text}")
    lines += (f"  comment {_text(comment)}" for comment in instruction.comments)
    lines += (f"  flag {_text(flag)}" for flag in instruction.flags)
    for field, value in zip(instruction._fields, instruction, strict=True):
        if field not in _COMMON:
            lines += (f"  {line}" for line in _field(field, value))
    if isinstance(instruction, Onbuild) and instruction.instruction is not None:
        lines += (f"    {line}" for line in dump_instruction(instruction.instruction))
    return lines


def _field(name: str, value: Value) -> list[str]:
    """Return the lines of a field."""
    if value is None or value is False or value in ((), 0):
        return []
    if isinstance(value, tuple) and type(value) is tuple:
        return [f"{name}[{place}] {_text(item)}" for place, item in enumerate(value)]
    return [f"{name} {_text(value)}"]


def _text(value: Value) -> str:
    match value:
        case Word(text=text, span=span):
            return f"{quote(text)} {_place(span)}"
        case Flag(name=name, value=None, span=span):
            return f"{name} {_place(span)}"
        case Flag(name=name, value=given, span=span):
            return f"{name}={quote(str(given))} {_place(span)}"
        case Heredoc(name=name, content=content, expand=expand, chomp=chomp, opener=opener):
            kind = f"{' expand' if expand else ''}{' chomp' if chomp else ''}"
            return f"{quote(name)}{kind} {quote(content)} {_place(opener.span)}"
        case Pair(key=key, value=other, legacy=legacy):
            return f"{_text(key)} {'legacy' if legacy else '='} {_text(other)}"
        case Argument(name=name, default=default):
            return _text(name) if default is None else f"{_text(name)} = {_text(default)}"
        case ExecForm(args=args, span=span):
            return f"exec [{', '.join(map(quote, args))}] {_place(span)}"
        case ShellForm(text=text, span=span):
            return f"shell {quote(text)} {_place(span)}"
        case str():
            return quote(value)
        case _:
            return str(value)


def _place(span: Span) -> str:
    """Return first and last place: `7:1-12`, or `7:1-9:3` over several lines."""
    last = span.end if span.line == span.last_line else f"{span.last_line}:{span.end}"
    return f"{span.line}:{span.start + 1}-{last}"
