"""What the parser found to instructions: one method a rule of dockerfile.lark.

In: the tokens of a rule, in order; the first is the keyword and holds the statement. Out: an
instruction. Here are the checks that no grammar makes: flags, names, and what BuildKit refuses
while parsing. Raises DockerfileError. Document: docs/dockerfile.md, chapter 8.
"""

from __future__ import annotations

import re
from functools import partial

from grammar import flags, instructions
from grammar.errors import DockerfileError, FlagError, quote
from grammar.instructions import (
    Argument,
    Command,
    ExecForm,
    Flag,
    Heredoc,
    Instruction,
    Pair,
    ShellForm,
    Trigger,
)
from grammar.options import Options
from grammar.source import Span, Word
from grammar.statements import CHAINED, Statement
from grammar.values import MILLISECOND, parse_duration, parse_integer
from grammar.words import SPACE
from runtime.typed import TypeVar
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from grammar.lexer import Token


_STAGE_NAME = r"[a-z][a-z0-9-_.]*"
_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")

_Value = TypeVar("_Value")


class Common(NamedTuple):
    """The fields that every instruction has."""

    keyword: Word
    flags: tuple[Flag, ...]
    comments: tuple[Word, ...]
    span: Span
    original: str


class ToInstructions:
    """The callbacks of the parser; `parse_statement` is the parser, for what ONBUILD holds."""

    def __init__(self, parse_statement: Callable[[Statement], Instruction]) -> None:
        self._parse_statement = parse_statement

    def from_(self, tokens: list[Token]) -> instructions.From:
        """FROM [--platform=P] IMAGE [AS NAME]."""
        common, options = _start(tokens)
        words = _all(tokens, "WORD")
        name = words[1] if len(words) > 1 else None
        if name is not None and not re.fullmatch(_STAGE_NAME, name.text.lower()):
            raise DockerfileError(
                f"invalid name for build stage: {quote(name.text)}, name can't start with a"
                " number or contain symbols",
                span=name.span,
            )
        keyword = next(iter(_all(tokens, "AS")), None)
        return instructions.From(words[0], options.text("platform"), keyword, name, *common)

    def arg(self, tokens: list[Token]) -> instructions.Arg:
        """ARG NAME[=default] …."""
        common, _ = _start(tokens)
        arguments = tuple(_argument(word) for word in _all(tokens, "WORD"))
        return instructions.Arg(arguments, *common)

    def env(self, tokens: list[Token]) -> instructions.Env:
        """ENV K=V …."""
        common, _ = _start(tokens)
        return instructions.Env(_pairs(tokens), *common)

    def label(self, tokens: list[Token]) -> instructions.Label:
        """LABEL K=V …."""
        common, _ = _start(tokens)
        return instructions.Label(_pairs(tokens), *common)

    def maintainer(self, tokens: list[Token]) -> instructions.Maintainer:
        """MAINTAINER TEXT."""
        common, _ = _start(tokens)
        return instructions.Maintainer(_text(tokens), *common)

    def run(self, tokens: list[Token]) -> instructions.Run:
        """RUN [flags] COMMAND."""
        common, options = _start(tokens)
        mounts = options.all("mount")
        for mount in mounts:
            _placed(mount.span, partial(flags.check_run_mount, mount.text, mount.span))
        network, security = options.text("network"), options.text("security")
        if network is not None and network.text not in _NETWORKS:
            raise DockerfileError(
                f"invalid network mode {quote(network.text)}",
                span=network.span,
                hint=f"modes are {', '.join(_NETWORKS)}",
            )
        if security is not None and security.text not in _SECURITY:
            raise DockerfileError(
                f"security {quote(security.text)} is not valid",
                span=security.span,
                hint=f"modes are {', '.join(_SECURITY)}",
            )
        return instructions.Run(
            _command(tokens),
            mounts,
            network,
            security,
            options.all("device"),
            _heredocs(tokens),
            *common,
        )

    def cmd(self, tokens: list[Token]) -> instructions.Cmd:
        """CMD COMMAND."""
        common, _ = _start(tokens)
        return instructions.Cmd(_command(tokens), *common)

    def entrypoint(self, tokens: list[Token]) -> instructions.Entrypoint:
        """ENTRYPOINT COMMAND."""
        common, _ = _start(tokens)
        return instructions.Entrypoint(_command(tokens), *common)

    def shell(self, tokens: list[Token]) -> instructions.Shell:
        """SHELL ["exe", …]."""
        common, _ = _start(tokens)
        command = _command(tokens)
        if isinstance(command, ShellForm) and command.text:
            raise DockerfileError(
                "SHELL requires the arguments to be in JSON form",
                span=command.span,
                hint='write SHELL ["/bin/bash", "-c"]',
            )
        if isinstance(command, ShellForm) or not command.args:
            raise DockerfileError("SHELL requires at least one argument", span=common.span)
        return instructions.Shell(command.args, *common)

    def expose(self, tokens: list[Token]) -> instructions.Expose:
        """EXPOSE PORT …."""
        common, _ = _start(tokens)
        return instructions.Expose(_all(tokens, "WORD"), *common)

    def volume(self, tokens: list[Token]) -> instructions.Volume:
        """VOLUME PATH …."""
        common, _ = _start(tokens)
        paths = tuple(Word(word.text.strip(SPACE), word.span) for word in _all(tokens, "WORD"))
        for path in paths:
            if not path.text:
                raise DockerfileError("VOLUME specified can not be an empty string", span=path.span)
        return instructions.Volume(paths, *common)

    def user(self, tokens: list[Token]) -> instructions.User:
        """USER NAME."""
        common, _ = _start(tokens)
        return instructions.User(_text(tokens), *common)

    def workdir(self, tokens: list[Token]) -> instructions.Workdir:
        """WORKDIR PATH."""
        common, _ = _start(tokens)
        return instructions.Workdir(_text(tokens), *common)

    def stopsignal(self, tokens: list[Token]) -> instructions.Stopsignal:
        """STOPSIGNAL SIGNAL."""
        common, _ = _start(tokens)
        return instructions.Stopsignal(_text(tokens), *common)

    def healthcheck(self, tokens: list[Token]) -> instructions.Healthcheck:
        """HEALTHCHECK NONE, or [flags] CMD COMMAND."""
        common, options = _start(tokens)
        if tokens[-1].type == "NONE":
            return instructions.Healthcheck(None, 0, 0, 0, 0, 0, *common)
        return instructions.Healthcheck(
            _command(tokens),
            _interval(options, "interval"),
            _interval(options, "timeout"),
            _interval(options, "start-period"),
            _interval(options, "start-interval"),
            _retries(options),
            *common,
        )

    def onbuild(self, tokens: list[Token]) -> instructions.Onbuild:
        """ONBUILD INSTRUCTION. Whether that is a good one is seen when it triggers."""
        common, _ = _start(tokens)
        statement = _statement(tokens)
        inner = _typed(tokens[-1].value, Statement)
        if inner.name == "ONBUILD":
            raise DockerfileError(CHAINED, span=inner.keyword.span)
        if inner.name in ("FROM", "MAINTAINER"):
            raise DockerfileError(
                f"{inner.name} isn't allowed as an ONBUILD trigger", span=inner.keyword.span
            )
        bodies = "".join(f"\n{doc.content}{doc.name}" for doc in statement.heredocs)
        try:
            trigger = _trigger(self._parse_statement(inner))
        except DockerfileError:
            trigger = None
        return instructions.Onbuild(inner.original + bodies, trigger, statement.heredocs, *common)

    def add(self, tokens: list[Token]) -> instructions.Add:
        """ADD [flags] SOURCE … DESTINATION."""
        common, options = _start(tokens)
        words = _all(tokens, "WORD")
        return instructions.Add(
            sources=words[:-1],
            destination=words[-1],
            chown=options.text("chown"),
            chmod=options.text("chmod"),
            checksum=options.text("checksum"),
            link=options.switch("link") is True,
            keep_git_dir=options.switch("keep-git-dir") is True,
            unpack=options.switch("unpack"),
            excludes=options.all("exclude"),
            heredocs=_heredocs(tokens),
            **common._asdict(),
        )

    def copy(self, tokens: list[Token]) -> instructions.Copy:
        """COPY [flags] SOURCE … DESTINATION."""
        common, options = _start(tokens)
        words = _all(tokens, "WORD")
        origin = options.text("from")
        if origin is not None and "$" in origin.text[:-1]:
            raise DockerfileError(
                "variable expansion is not supported for --from, define a new stage with FROM"
                " using ARG from global scope as a workaround",
                span=origin.span,
            )
        return instructions.Copy(
            sources=words[:-1],
            destination=words[-1],
            origin=origin,
            chown=options.text("chown"),
            chmod=options.text("chmod"),
            link=options.switch("link") is True,
            parents=options.switch("parents") is True,
            excludes=options.all("exclude"),
            heredocs=_heredocs(tokens),
            **common._asdict(),
        )


def _typed(value: object, kind: type[_Value]) -> _Value:
    """Return `value`, of which the grammar says that it is a `kind`."""
    assert isinstance(value, kind)
    return value


def _statement(tokens: list[Token]) -> Statement:
    return _typed(tokens[0].value, Statement)


def _start(tokens: list[Token]) -> tuple[Common, Options]:
    """Return the common fields and the flags of the instruction that `tokens` are."""
    statement = _statement(tokens)
    common = Common(
        statement.keyword,
        statement.flags,
        statement.comments,
        statement.span,
        statement.original,
    )
    return common, Options(statement.name, statement.flags)


def _all(tokens: list[Token], kind: str) -> tuple[Word, ...]:
    return tuple(_typed(token.value, Word) for token in tokens if token.type == kind)


def _text(tokens: list[Token]) -> Word:
    """Return the rest of the line."""
    return _typed(tokens[-1].value, Word)


def _command(tokens: list[Token]) -> Command:
    for token in tokens:
        if isinstance(token.value, ExecForm | ShellForm):
            return token.value
    raise AssertionError("the grammar lets no command be missing")


def _heredocs(tokens: list[Token]) -> tuple[Heredoc, ...]:
    return tuple(token.value for token in tokens if isinstance(token.value, Heredoc))


def _argument(word: Word) -> Argument:
    name, equals, default = word.text.partition("=")
    if not name:
        raise DockerfileError("ARG names can not be blank", span=word.span)
    if not equals:
        return Argument(word, None)
    span = word.span
    if span.line != span.last_line:
        return Argument(Word(name, span), Word(default, span))
    middle = span.start + len(name)
    return Argument(
        Word(name, span._replace(end=middle)), Word(default, span._replace(start=middle + 1))
    )


def _pairs(tokens: list[Token]) -> tuple[Pair, ...]:
    statement = _statement(tokens)
    keys, values = _all(tokens, "KEY"), _all(tokens, "VALUE")
    for key in keys:
        if not key.text:
            raise DockerfileError(f"{statement.name} names can not be blank", span=key.span)
    return tuple(
        Pair(key, value, statement.legacy) for key, value in zip(keys, values, strict=True)
    )


def _placed(span: Span, read: Callable[[], _Value]) -> _Value:
    """Return what `read` gives; a value that is none is an error of the file here."""
    try:
        return read()
    except FlagError as error:
        raise DockerfileError(error.message, span=span, hint=error.hint) from None


def _interval(options: Options, name: str) -> int:
    word = options.text(name)
    if word is None:
        return 0
    duration = _placed(word.span, lambda: parse_duration(word.text))
    if duration and duration < MILLISECOND:
        raise DockerfileError(f"Interval {quote(name)} cannot be less than 1ms", span=word.span)
    return duration


def _retries(options: Options) -> int:
    word = options.text("retries")
    if word is None:
        return 0
    retries = _placed(word.span, lambda: parse_integer(word.text))
    if retries < 0:
        raise DockerfileError(f"--retries cannot be negative ({retries})", span=word.span)
    return retries


def _trigger(instruction: Instruction) -> Trigger:
    assert not isinstance(
        instruction, instructions.From | instructions.Maintainer | instructions.Onbuild
    )
    return instruction
