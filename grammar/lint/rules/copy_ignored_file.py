"""CopyIgnoredFile: COPY or ADD of a file that the ignore file hides.

Only who has the build context can say so; `finding` makes the message.
"""

from __future__ import annotations

from grammar.errors import quote
from grammar.instructions import Add, Copy
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.source import Word


def finding(instruction: Copy | Add, source: Word) -> Finding:
    """Return the finding that `source` of `instruction` is hidden."""
    verb = "Add" if isinstance(instruction, Add) else "Copy"
    return RULE.finding(
        f"Attempting to {verb} file {quote(source.text)} that is excluded by .dockerignore",
        instruction.span,
        source.span,
    )


RULE = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "reference",
)
