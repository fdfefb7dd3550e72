"""A statement to the tokens of dockerfile.lark.

In: a `Statement`. Out: `Token` values; the first is the keyword, and its value the statement
itself. Which token an argument becomes is the table `_TOKENS`. Document: docs/dockerfile.md,
chapter 4.
"""

from __future__ import annotations

from grammar.errors import DockerfileError, quote
from grammar.instructions import KEYWORDS, ExecForm, Flag, Heredoc, ShellForm
from grammar.nearest import did_you_mean
from grammar.source import Word
from grammar.statements import Statement
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias


Value: TypeAlias = Statement | Flag | Word | ExecForm | ShellForm | Heredoc


class Token(NamedTuple):
    """A terminal of the grammar and what it stands for. Lark asks a token for its type only."""

    type: str
    value: Value


def tokens(statement: Statement) -> Iterator[Token]:
    """Yield the tokens of `statement`. Raises DockerfileError for an unknown instruction."""
    name = statement.name
    arguments = _TOKENS.get(name)
    if arguments is None:
        raise DockerfileError(
            f"unknown instruction: {statement.keyword.text}"
            f"{did_you_mean(statement.keyword.text, KEYWORDS)}",
            span=statement.keyword.span,
        )
    yield Token(name, statement)
    for flag in statement.flags:
        yield Token("FLAG", flag)
    yield from arguments(statement)


def _words(statement: Statement) -> Iterator[Token]:
    for word in statement.args:
        yield Token("WORD", word)


def _from(statement: Statement) -> Iterator[Token]:
    words = statement.args
    for position, word in enumerate(words):
        is_as = len(words) == 3 and position == 1 and word.text.lower() == "as"
        yield Token("AS" if is_as else "WORD", word)


def _pairs(statement: Statement) -> Iterator[Token]:
    for position, word in enumerate(statement.args):
        yield Token("VALUE" if position % 2 else "KEY", word)


def _text(statement: Statement) -> Iterator[Token]:
    for word in statement.args:
        yield Token("TEXT", word)


def _command(statement: Statement) -> Iterator[Token]:
    yield _form(statement.args, statement)
    for heredoc in statement.heredocs:
        yield Token("HEREDOC", heredoc)


def _form(args: tuple[Word, ...], statement: Statement) -> Token:
    """Return the exec form or shell form that `args` are."""
    if statement.json:
        return Token("JSON", ExecForm(tuple(word.text for word in args), statement.rest.span))
    if not args:
        return Token("TEXT", ShellForm("", statement.rest.span))
    return Token("TEXT", ShellForm(args[0].text, args[0].span))


def _healthcheck(statement: Statement) -> Iterator[Token]:
    if not statement.args:
        return
    kind, *command = statement.args
    name = kind.text.upper()
    if name == "NONE":
        if command or statement.json:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments", span=kind.span)
        yield Token("NONE", kind)
        return
    if name != "CMD":
        raise DockerfileError(
            f"Unknown type {quote(name)} in HEALTHCHECK (try CMD)", span=kind.span
        )
    yield Token("CMD", kind)
    if not command:
        raise DockerfileError("Missing command after HEALTHCHECK CMD", span=kind.span)
    yield _form(tuple(command), statement)


def _operands(statement: Statement) -> Iterator[Token]:
    """Yield words, and heredocs where their openers stand; an opener may be several words."""
    heredocs = {_start(heredoc.opener): heredoc for heredoc in statement.heredocs}
    behind = (0, 0)
    for word in statement.args:
        heredoc = heredocs.get(_start(word))
        if heredoc is not None:
            behind = (heredoc.opener.span.last_line, heredoc.opener.span.end)
            yield Token("HEREDOC", heredoc)
        elif _start(word) >= behind:
            yield Token("WORD", word)


def _start(word: Word) -> tuple[int, int]:
    return word.span.line, word.span.start


def _onbuild(statement: Statement) -> Iterator[Token]:
    if statement.sub is not None:
        yield Token("TRIGGER", statement.sub)


_TOKENS: dict[str, Callable[[Statement], Iterator[Token]]] = {
    "ADD": _operands,
    "ARG": _words,
    "CMD": _command,
    "COPY": _operands,
    "ENTRYPOINT": _command,
    "ENV": _pairs,
    "EXPOSE": _words,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _pairs,
    "MAINTAINER": _text,
    "ONBUILD": _onbuild,
    "RUN": _command,
    "SHELL": _command,
    "STOPSIGNAL": _text,
    "USER": _text,
    "VOLUME": _words,
    "WORKDIR": _text,
}
