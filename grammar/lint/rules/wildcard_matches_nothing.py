"""WildcardMatchesNothing: a pattern of COPY or ADD that no file of the context matches.

Only who has the build context can say so; `finding` makes the message.
"""

from __future__ import annotations

from grammar.errors import quote
from grammar.instructions import Add, Copy
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.source import Word


def finding(instruction: Copy | Add, source: Word) -> Finding:
    """Return the finding that nothing matches `source` of `instruction`."""
    return RULE.finding(
        f"Nothing in the build context matches {quote(source.text)}, so nothing is copied",
        instruction.span,
        source.span,
    )


RULE = Rule(
    "WildcardMatchesNothing",
    "A pattern without matches copies nothing and is no error",
    "trap",
)
