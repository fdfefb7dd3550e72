"""UnconsumedBuildArg: a `--build-arg` that no ARG declares.

Only who has the command line can say so; `finding` makes one of the warning.
"""

from __future__ import annotations

from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.source import Span


def finding(dockerfile: Dockerfile, warning: str) -> Finding:
    """Return the finding that `warning` tells of; it is about the file as a whole."""
    return RULE.finding(warning, Span(dockerfile.source.path, 1, 0, 0, 1))


RULE = Rule(
    "UnconsumedBuildArg",
    "A build argument has an effect only where ARG declares it",
    "trap",
)
