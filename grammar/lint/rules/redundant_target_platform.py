"""RedundantTargetPlatform: `--platform=$TARGETPLATFORM`, which is the default."""

from __future__ import annotations

from collections.abc import Iterator

from grammar import words
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import PLATFORM_ARGS
from grammar.source import Span

_NAME = "TARGETPLATFORM"


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look for platforms that are this variable and nothing else."""
    for stage in dockerfile.stages:
        platform = stage.base.platform
        if platform is None:
            continue
        try:
            expansion = words.expand(platform.text, PLATFORM_ARGS, dockerfile.escape)
        except GrammarError:
            continue
        if expansion.used == {_NAME} and expansion.text == PLATFORM_ARGS[_NAME]:
            yield RULE.finding(
                f"Setting platform to predefined {platform.text} in FROM is redundant as this is"
                " the default behavior",
                stage.base.span,
                platform.span,
                _edits(dockerfile, platform.span),
            )


def _edits(dockerfile: Dockerfile, span: Span) -> list[Edit]:
    """Return the flag taken out, with the blanks behind it."""
    if span.line != span.last_line:
        return []
    line = dockerfile.source.lines()[span.line - 1]
    end = span.end
    while line[end : end + 1] in (" ", "\t"):
        end += 1
    return [Edit(span._replace(end=end), "")]


RULE = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default"
    " behavior",
    "reference",
    check,
)
