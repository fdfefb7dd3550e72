"""What a lint rule is: a name, what it says of itself, and a function that looks for it.

A rule is a module of `grammar.lint.rules` with a `RULE`, and a row in `table.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.source import Span
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Kind: TypeAlias = Literal["reference", "trap", "advice"]
"""`reference`: BuildKit has it too. `trap`: the build does something else than its author will
think. `advice`: it could be done better. What is only advice is not shown during a build."""

Check: TypeAlias = Callable[[Dockerfile], Iterable[Finding]]

_REFERENCE_URL = "https://docs.docker.com/go/dockerfile/rule/"


class Rule(NamedTuple):
    """`check` is None for a rule that needs more than the file: whoever knows it looks for it.

    An `experimental` rule must be asked for by name or with `all`.
    """

    name: str
    description: str
    kind: Kind
    check: Check | None = None
    experimental: bool = False

    @property
    def url(self) -> str:
        """Docker's page about the rule; empty for a rule of our own, which `page` explains."""
        if self.kind != "reference":
            return ""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        return f"{_REFERENCE_URL}{words.lower()}/"

    def finding(
        self, message: str, span: Span, place: Span | None = None, edits: Iterable[Edit] = ()
    ) -> Finding:
        """Return a finding of this rule."""
        return Finding(self.name, message, span, place, tuple(edits))
