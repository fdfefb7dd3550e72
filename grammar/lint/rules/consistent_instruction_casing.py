"""ConsistentInstructionCasing: some keywords in upper case, others not."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Compare each keyword with the case that most have; keywords of mixed case do not vote."""
    keywords = [(one.keyword, one.span) for one in everything(dockerfile)]
    lower = sum(word.text.islower() for word, _ in keywords)
    upper = sum(word.text.isupper() for word, _ in keywords)
    is_lower = lower > upper
    case = "lowercase" if is_lower else "uppercase"
    for word, span in keywords:
        wanted = word.text.lower() if is_lower else word.text.upper()
        if word.text != wanted:
            yield RULE.finding(
                f"Command '{word.text}' should match the case of the command majority ({case})",
                span,
                word.span,
                [Edit(word.span, wanted)],
            )


RULE = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "reference",
    check,
)
