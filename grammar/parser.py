"""Dockerfile text to a `Dockerfile`.

In: a `Source`. Out: stages of typed instructions. The parser proper is Lark's for dockerfile.lark:
generated when the distribution was built (hatch_build.py), otherwise made now, which takes 80 ms
more. Raises DockerfileError.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from grammar.directives import DEFAULT_ESCAPE, escape_token
from grammar.errors import DockerfileError
from grammar.instructions import Arg, Dockerfile, From, Instruction, Stage, StageInstruction
from grammar.lexer import Token, tokens
from grammar.source import Source
from grammar.statements import Statement, read_statements
from grammar.transform import ToInstructions
from runtime.values import NamedTuple

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


class _Engine(NamedTuple):
    """A Lark parser, and what it raises for a token that does not fit."""

    lark: Any
    unexpected: type[Exception]


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
    engine = _engine()
    state = engine.lark.parse_interactive("")
    token: Token | None = None
    try:
        for token in tokens(statement):
            state.feed_token(token)
        instruction: Instruction = state.feed_eof()
    except engine.unexpected:
        raise _miscounted(statement, token).within(statement.span) from None
    except DockerfileError as error:
        raise error.within(statement.span) from None
    return instruction


def _miscounted(statement: Statement, last: Token | None) -> DockerfileError:
    """Return the error for too few or too many arguments, which is all that can be wrong."""
    name = statement.name
    if last is not None and last.type == "HEREDOC" and len(statement.args) > 1:
        return DockerfileError(
            f"{name} cannot accept a heredoc as a destination", span=statement.rest.span
        )
    return DockerfileError(f"{name} {_SHOULD_BE.get(name, _SOME)}", span=statement.span)


@cache
def _engine() -> _Engine:
    """Return the parser, made at the first call."""
    make, unexpected = _generated() or _built()
    return _Engine(make(transformer=ToInstructions(_parse_statement)), unexpected)


def _generated() -> tuple[Callable[..., Any], type[Exception]] | None:
    try:
        import grammar.generated as generated
    except ImportError:  # a checkout in which nobody has run the build hook
        return None
    return generated.Lark_StandAlone, generated.UnexpectedToken


def _built() -> tuple[Callable[..., Any], type[Exception]]:
    """Return Lark itself with our grammar."""
    # Not at the top: the generated parser needs no lark, and that is what users have.
    from lark import Lark, UnexpectedToken

    def make(transformer: ToInstructions) -> Any:  # noqa: ANN401 - Lark's own signature
        return Lark.open(
            GRAMMAR,
            rel_to=__file__,
            parser="lalr",
            maybe_placeholders=False,
            transformer=transformer,
        )

    return make, UnexpectedToken
