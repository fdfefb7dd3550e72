"""LegacyKeyValueFormat: `ENV key value` without `=`."""

from __future__ import annotations

from collections.abc import Iterator

from grammar import words
from grammar.errors import GrammarError
from grammar.instructions import Dockerfile, Env, Label, Pair
from grammar.lint.finding import Edit, Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at ENV and LABEL."""
    for instruction in everything(dockerfile):
        if not isinstance(instruction, Env | Label) or not instruction.pairs[0].legacy:
            continue
        word = instruction.keyword.text
        yield RULE.finding(
            f'"{word} key=value" should be used instead of legacy "{word} key value" format',
            instruction.span,
            instruction.pairs[0].key.span.to(instruction.pairs[0].value.span),
            _edits(instruction.pairs[0], dockerfile.escape),
        )


def _edits(pair: Pair, escape: str) -> list[Edit]:
    """Return the pair with `=`, if there is a way to write it that means the same."""
    span = pair.key.span.to(pair.value.span)
    if span.line != span.last_line:
        return []
    value = pair.value.text
    quoted = '"' + value.replace('"', "") + '"'
    for candidate in (value, quoted):
        text = f"{pair.key.text}={candidate}"
        if words.split(text, escape) == (text,) and _same(value, candidate, escape):
            return [Edit(span, text)]
    return []


def _same(value: str, candidate: str, escape: str) -> bool:
    """Say whether both expand to the same, also with variables that hold blanks and quotes."""
    try:
        names = words.expand(value, {}, escape).used
        return all(
            words.expand(value, env, escape).text == words.expand(candidate, env, escape).text
            for env in ({}, dict.fromkeys(names, "a 'b\" \\c"))
        )
    except GrammarError:
        return False


RULE = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "reference",
    check,
)
