"""UndefinedArgInFrom: FROM uses a variable that no ARG before the first FROM declares."""

from __future__ import annotations

from collections.abc import Iterator

from grammar import words
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import PLATFORM_ARGS
from grammar.nearest import did_you_mean


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at images and platforms of FROM."""
    declared = dict(PLATFORM_ARGS)
    declared.update(
        (argument.name.text, "") for arg in dockerfile.global_args for argument in arg.arguments
    )
    for stage in dockerfile.stages:
        for word in (stage.base.image, stage.base.platform):
            if word is None:
                continue
            try:
                unset = words.expand(word.text, declared, dockerfile.escape).unset
            except GrammarError:
                continue
            for name in sorted(unset):
                hint = did_you_mean(name, declared)
                message = f"FROM argument '{name}' is not declared{hint}"
                yield RULE.finding(message, stage.base.span, word.span)


RULE = Rule("UndefinedArgInFrom", "FROM command must use declared ARGs", "reference", check)
