"""Which rules count: the check directive, what overrides it, and comments above instructions.

In: a Dockerfile and perhaps the value of BUILDKIT_DOCKERFILE_CHECK. Out: a `Selection`.
Document: docs/dockerfile.md, chapter 2 (check). A comment `# check=skip=RuleA,RuleB` directly above
an instruction switches rules off for this instruction alone.
"""

from __future__ import annotations

import re
from collections.abc import Container

from grammar.directives import CheckOptions, parse_check
from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything
from grammar.source import Span, Word
from runtime.values import NamedTuple

ALL = "all"

_COMMENT = re.compile(r"check\s*=\s*(skip\s*=.*)", re.IGNORECASE)


class Selection(NamedTuple):
    """`skip` and `experimental` are names of rules or `all`; `error`: any finding is one.

    `exempt`: for first and last line of an instruction, the rules that are off there. `named`:
    the names of rules that the file mentions, each with where it does.
    """

    skip: frozenset[str]
    experimental: frozenset[str]
    error: bool
    exempt: tuple[tuple[int, int, frozenset[str]], ...]
    named: tuple[Word, ...]

    def takes(self, rule: Rule) -> bool:
        """Say whether `rule` is to be looked at."""
        if rule.experimental:
            return _names(self.experimental, rule.name)
        return not _names(self.skip, rule.name)

    def keeps(self, finding: Finding) -> bool:
        """Say whether no comment above its instruction takes `finding` back."""
        return not any(
            first <= finding.span.line <= last and _names(skip, finding.rule)
            for first, last, skip in self.exempt
        )


def _names(names: Container[str], rule: str) -> bool:
    return rule in names or ALL in names


def selection_for(dockerfile: Dockerfile, override: str | None = None) -> Selection:
    """Return what `dockerfile` selects; `override` stands in for its check directive.

    Raises DockerfileError for a setting that is none.
    """
    options = CheckOptions()
    named: list[Word] = []
    directive = next((one for one in dockerfile.directives if one.name == "check"), None)
    if override is not None:
        options = parse_check(override)
    elif directive is not None:
        options = parse_check(directive.value, directive.span)
        named += _words(options, directive.span)
    exempt: list[tuple[int, int, frozenset[str]]] = []
    for instruction in everything(dockerfile):
        skip: set[str] = set()
        for comment in instruction.comments:
            if match := _COMMENT.fullmatch(comment.text):
                found = parse_check(match[1], comment.span)
                skip.update(found.skip)
                named += _words(found, comment.span)
        if skip:
            span = instruction.span
            exempt.append((span.line, span.last_line, frozenset(skip)))
    return Selection(
        skip=frozenset(options.skip),
        experimental=frozenset(options.experimental),
        error=options.error is True,
        exempt=tuple(exempt),
        named=tuple(named),
    )


def is_check_comment(comment: Word) -> bool:
    """Say whether a comment is about rules, and not about its instruction."""
    return _COMMENT.fullmatch(comment.text) is not None


def _words(options: CheckOptions, span: Span) -> list[Word]:
    return [Word(name, span) for name in (*options.skip, *options.experimental) if name != ALL]
