"""ONBUILD triggers: what a base has in store for whoever builds on it.

In: the texts in an image's config, or the ONBUILDs of an earlier stage. Out: instructions, which
run right behind FROM as if they stood there. Document: docs/dockerfile.md, chapter 8 (ONBUILD).
"""

from __future__ import annotations

from buildkit.errors import DefinitionError
from buildkit.frontend.expander import at, lines_of
from grammar.instructions import (
    From,
    Instruction,
    Maintainer,
    Onbuild,
    StageInstruction,
    Trigger,
    name_of,
)
from grammar.parser import parse_instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from grammar.source import Span


def triggers_of_image(texts: Iterable[str], span: Span) -> tuple[Trigger, ...]:
    """Return the instructions that `texts` are. Raises DefinitionError at `span`, the FROM."""
    return tuple(_parsed(text, span) for text in texts)


def triggers_of_stage(instructions: Iterable[StageInstruction], span: Span) -> tuple[Trigger, ...]:
    """Return the triggers among `instructions` of an earlier stage of the same file."""
    return tuple(
        one.instruction if one.instruction is not None else _parsed(one.trigger, span)
        for one in instructions
        if isinstance(one, Onbuild)
    )


def _parsed(text: str, span: Span) -> Trigger:
    with at(span):
        instruction: Instruction = parse_instruction(text)
    if isinstance(instruction, From | Maintainer | Onbuild):
        raise DefinitionError(
            f"{name_of(instruction)} isn't allowed as an ONBUILD trigger", lines=lines_of(span)
        )
    return instruction
