"""Dockerfile text to a `Dockerfile`.

In: a `Source`. Out: stages of typed instructions. The parser proper are the tables that Lark makes
of dockerfile.lark: when the distribution is built (hatch_build.py), otherwise now, which takes
60 ms more. Raises DockerfileError.
"""

from __future__ import annotations

import os
from functools import cache

from grammar.directives import DEFAULT_ESCAPE, escape_token
from grammar.errors import DockerfileError
from grammar.instructions import Arg, Dockerfile, From, Instruction, Stage, StageInstruction
from grammar.lalr import Machine, Rule, Table, UnexpectedToken
from grammar.lexer import Token, tokens
from grammar.source import Source
from grammar.statements import Statement, read_statements
from grammar.transform import ToInstructions

GRAMMAR = "dockerfile.lark"

_ONE = "requires exactly one argument"
_SOME = "requires at least one argument"
_NO_DESTINATION = (
    "requires at least two arguments, but only one was provided. Destination could not be"
    " determined"
)
_SHOULD_BE = {
    "ADD": _NO_DESTINATION,
    "COPY": _NO_DESTINATION,
    "FROM": "requires either one or three arguments",
    "MAINTAINER": _ONE,
    "STOPSIGNAL": _ONE,
    "USER": _ONE,
    "WORKDIR": _ONE,
}


def parse(source: Source) -> Dockerfile:
    """Return the Dockerfile that `source` is."""
    directives, statements = read_statements(source)
    global_args: list[Arg] = []
    stages: list[tuple[From, list[StageInstruction]]] = []
    for statement in statements:
        instruction = _parse_statement(statement)
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise DockerfileError(
                "no build stage in current context",
                span=statement.span,
                hint="begin with FROM; only ARG may come before it",
            )
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build")
    return Dockerfile(
        source=source,
        directives=directives,
        escape=escape_token(directives),
        global_args=tuple(global_args),
        stages=tuple(
            Stage(base, base.alias.text.lower() if base.alias else None, number, tuple(found))
            for number, (base, found) in enumerate(stages)
        ),
        empty_continuations=tuple(blank for statement in statements for blank in statement.blanks),
    )


def parse_instruction(
    text: str, escape: str = DEFAULT_ESCAPE, *, path: str = "ONBUILD"
) -> Instruction:
    """Return the one instruction that `text` is, heredocs included: an image's ONBUILD trigger."""
    _, statements = read_statements(Source(path, text), escape=escape)
    if len(statements) != 1:
        raise DockerfileError("not one instruction", span=statements[1].span)
    return _parse_statement(statements[0])


def _parse_statement(statement: Statement) -> Instruction:
    machine: Machine[Instruction] = Machine(_table(), ToInstructions(_parse_statement))
    token: Token | None = None
    try:
        for token in tokens(statement):
            machine.feed(token)
        return machine.finish()
    except UnexpectedToken:
        raise _miscounted(statement, token).within(statement.span) from None
    except DockerfileError as error:
        raise error.within(statement.span) from None


def _miscounted(statement: Statement, last: Token | None) -> DockerfileError:
    """Return the error for too few or too many arguments, which is all that can be wrong."""
    name = statement.name
    if last is not None and last.type == "HEREDOC" and len(statement.args) > 1:
        return DockerfileError(
            f"{name} cannot accept a heredoc as a destination", span=statement.rest.span
        )
    return DockerfileError(f"{name} {_SHOULD_BE.get(name, _SOME)}", span=statement.span)


@cache
def _table() -> Table:
    """Return the tables of the grammar, read or made at the first call."""
    try:
        from grammar import generated

        tables = generated.TABLES
    except ImportError:  # a checkout in which nobody has run the build hook
        from grammar.tables import compile_tables

        path = os.path.join(os.path.dirname(__file__), GRAMMAR)
        with open(path, encoding="utf-8") as file:
            tables = compile_tables(file.read())
    states, rules, start, end = tables
    return Table(states, tuple(Rule(*rule) for rule in rules), start, end)
