"""The syntactic view of a Dockerfile, for `pybuild parse`.

In: a source. Out: a `SyntaxTree`, and the JSON document of it. Syntax only, as BuildKit's parser
sees it: words are not expanded, quotes stay, an unknown instruction is no error.
"""

from __future__ import annotations

from typing import TypeAlias

from grammar.instructions import Directive
from grammar.source import Source
from grammar.statements import Statement, read_statements
from runtime.values import NamedTuple

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"


class SyntaxTree(NamedTuple):
    """A file's directives and statements."""

    directives: tuple[Directive, ...]
    statements: tuple[Statement, ...]


def parse_syntax(source: Source) -> SyntaxTree:
    """Return the tree of `source`. Raises DockerfileError."""
    return SyntaxTree(*read_statements(source))


def to_json(tree: SyntaxTree) -> dict[str, Json]:
    """Return the document that `pybuild parse --format json` prints."""
    return {
        "directives": {directive.name: directive.value for directive in tree.directives},
        "instructions": [statement_json(statement) for statement in tree.statements],
    }


def statement_json(statement: Statement) -> dict[str, Json]:
    """Return one instruction of the document."""
    sub = statement.sub
    return {
        "name": statement.keyword.text,
        "line": statement.span.line,
        "end_line": statement.span.last_line,
        "flags": [
            f"--{flag.name}" if flag.value is None else f"--{flag.name}={flag.value}"
            for flag in statement.flags
        ],
        "args": [word.text for word in statement.args],
        "json": statement.json,
        "original": _original(statement),
        "heredocs": [
            {
                "name": heredoc.name,
                "content": heredoc.content,
                "expand": heredoc.expand,
                "chomp": heredoc.chomp,
            }
            for heredoc in statement.heredocs
        ],
        "sub": None if sub is None else statement_json(sub),
    }


def _original(statement: Statement) -> str:
    """Return an instruction's text: continuation lines joined, heredocs as they are."""
    bodies = "".join(f"{doc.content}{doc.name}\n" for doc in statement.heredocs)
    if not bodies or statement.sub is not None:
        return statement.original
    return f"{statement.original}\n{bodies}"
