"""A logical line taken apart: keyword, flags, arguments, and the heredocs behind it.

In: a source. Out: `Statement` values, the syntactic view of the file: any keyword will do, words
are as written. Both the typed instructions and `pybuild parse` come from here. Errors are those of
the syntax alone, and the first in the file wins, as in BuildKit's parser. Document:
docs/dockerfile.md, chapter 4; the table of argument parsers is `_ARGUMENTS`.
"""

from __future__ import annotations

import json
import re

from grammar.directives import escape_token, read_directives
from grammar.errors import DockerfileError, quote
from grammar.heredocs import find_openers
from grammar.instructions import Directive, Flag, Heredoc
from grammar.lines import LineReader, LogicalLine
from grammar.source import Source, Span, Word
from grammar.words import SPACE, split_places
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeAlias


_BLANKS = "\t\v\f\r "
_WORD = re.compile(r"[^\t\v\f\r ]+")
_BLANK = re.compile(r"[\t\v\f\r ]+")
MAX_DEPTH = 10
"""How deep ONBUILD may nest for the syntax; no more than once makes sense."""

CHAINED = "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"

_WITH_HEREDOCS = frozenset(("ADD", "COPY", "RUN"))


class Statement(NamedTuple):
    """An instruction, syntactically. `rest` is what follows keyword and flags."""

    keyword: Word
    flags: tuple[Flag, ...]
    rest: Word
    args: tuple[Word, ...]
    json: bool
    legacy: bool
    heredocs: tuple[Heredoc, ...]
    sub: Statement | None
    comments: tuple[Word, ...]
    blanks: tuple[Span, ...]
    span: Span
    original: str

    @property
    def name(self) -> str:
        """Return the keyword in upper case."""
        return self.keyword.text.upper()


class Arguments(NamedTuple):
    """What an argument parser found. `legacy` is ENV or LABEL without `=`."""

    words: tuple[Word, ...]
    json: bool = False
    legacy: bool = False


Parser: TypeAlias = "Callable[[LogicalLine, int, int, str], Arguments]"
"""Takes a line, start and end of the arguments in it, and the escape token."""


def read_statements(
    source: Source, *, escape: str | None = None
) -> tuple[tuple[Directive, ...], tuple[Statement, ...]]:
    """Return the directives and statements of `source`. Raises DockerfileError.

    With `escape` given, no directives are looked for.
    """
    if not source.text:
        raise DockerfileError("the Dockerfile cannot be empty")
    directives = read_directives(source) if escape is None else ()
    reader = LineReader(source, escape or escape_token(directives), skip=len(directives))
    statements: list[Statement] = []
    while (line := reader.next_line()) is not None:
        try:
            statements.append(_statement(line, reader))
        except DockerfileError as error:
            raise error.within(_whole(line)) from None
    if not statements:
        raise DockerfileError("file with no instructions")
    return directives, tuple(statements)


def _whole(line: LogicalLine) -> Span:
    span = line.span(0, len(line.text))
    return span._replace(line=line.first_line, last_line=line.last_line)


def _statement(line: LogicalLine, reader: LineReader) -> Statement:
    """Return the statement on `line`, and take its heredocs' bodies from `reader`."""
    statement = _parse(line, 0, len(line.text), reader.escape)
    span = statement.span._replace(line=line.first_line, last_line=line.last_line)
    statement = statement._replace(span=span, original=line.text)
    inner = statement.sub or statement
    if "<<" not in line.text or inner.json or inner.name not in _WITH_HEREDOCS:
        return statement
    heredocs: list[Heredoc] = []
    for opener in find_openers(line):
        content = reader.body(opener.name, chomp=opener.chomp)
        word = line.word(opener.start, opener.end)
        if content is None:
            raise DockerfileError(
                "unterminated heredoc",
                span=word.span,
                hint=f"end it with a line that is exactly {opener.name}"
                + ("; << is none without a blank behind it" if " " in word.text else ""),
            )
        heredocs.append(Heredoc(opener.name, content, opener.expand, opener.chomp, word))
    if statement.sub is not None:
        statement = statement._replace(sub=statement.sub._replace(heredocs=tuple(heredocs)))
    if heredocs:
        size = len(reader.lines[reader.position - 1])
        span = span._replace(end=size, last_line=reader.position)
    return statement._replace(heredocs=tuple(heredocs), span=span)


def _parse(line: LogicalLine, start: int, end: int, escape: str, depth: int = 0) -> Statement:
    """Return the statement between `start` and `end` of `line`, `depth` ONBUILDs deep."""
    text = line.text
    start, end = _trimmed(text, start, end)
    blank = _BLANK.search(text, start, end)
    keyword_end = blank.start() if blank else end
    flags, rest = _flags(line, blank.end() if blank else end, end, escape)
    rest, end = _trimmed(text, rest, end)
    keyword = line.word(start, keyword_end)
    sub = None
    arguments = Arguments(())
    if keyword.text.upper() == "ONBUILD":
        if depth == MAX_DEPTH:
            raise DockerfileError(CHAINED, span=keyword.span)
        sub = _parse(line, rest, end, escape, depth + 1) if rest < end else None
    else:
        parser = _ARGUMENTS.get(keyword.text.upper(), _ignored)
        arguments = parser(line, rest, end, escape)
    return Statement(
        keyword=keyword,
        flags=flags,
        rest=line.word(rest, end),
        args=arguments.words,
        json=arguments.json,
        legacy=arguments.legacy,
        heredocs=(),
        sub=sub,
        comments=line.comments,
        blanks=line.blanks,
        span=line.span(start, end),
        original=text[start:end],
    )


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in SPACE:
        start += 1
    while start < end and text[end - 1] in SPACE:
        end -= 1
    return start, end


def _flags(line: LogicalLine, position: int, end: int, escape: str) -> tuple[tuple[Flag, ...], int]:
    """Return the flags at `position`, and where the rest begins."""
    text = line.text
    flags: list[Flag] = []
    while True:
        while position < end and text[position] in SPACE:
            position += 1
        if not text.startswith("--", position, end):
            return tuple(flags), position
        start = position
        word, position = _flag_word(text, position, end, escape)
        if word == "--":
            return tuple(flags), position
        name, equals, value = word[2:].partition("=")
        flags.append(Flag(name, value if equals else None, line.span(start, position)))


def _flag_word(text: str, position: int, end: int, escape: str) -> tuple[str, int]:
    """Return a flag without its quotes and escapes, and where it ends."""
    chars: list[str] = []
    quoted = ""
    while position < end:
        char = text[position]
        if not quoted and char in SPACE:
            break
        position += 1
        if char == escape:
            chars.append(text[position:end][:1])
            position = min(position + 1, end)
        elif quoted:
            if char == quoted:
                quoted = ""
            else:
                chars.append(char)
        elif char in "'\"":
            quoted = char
        else:
            chars.append(char)
    return "".join(chars), position


def _ignored(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:  # noqa: ARG001
    """What an unknown instruction is followed by: BuildKit's parser looks at none of it."""
    return Arguments((Word("", line.span(start, end)),))


def _blank_separated(
    line: LogicalLine,
    start: int,
    end: int,
    escape: str,  # noqa: ARG001
) -> Arguments:
    places = (match.span() for match in _WORD.finditer(line.text, start, end))
    return Arguments(tuple(line.word(*place) for place in places))


def _text(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:  # noqa: ARG001
    return Arguments((line.word(start, end),) if start < end else ())


def _quotable(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    places = split_places(line.text[start:end], escape)
    return Arguments(tuple(line.word(start + first, start + last) for first, last in places))


def _json_or_words(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    return _json(line, start, end) or _blank_separated(line, start, end, escape)


def _json_or_text(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    return _json(line, start, end) or _text(line, start, end, escape)


def _healthcheck(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
    """The first word is a type, what follows is like CMD's arguments."""
    position = start
    while position < end and line.text[position] not in SPACE:
        position += 1
    if position == start:
        return Arguments(())
    command = _json_or_text(line, *_trimmed(line.text, position, end), escape)
    return command._replace(words=(line.word(start, position), *command.words))


def _pairs(name: str) -> Parser:
    """Return the parser of ENV and LABEL, which gives key, value, key, value."""

    def parse(line: LogicalLine, start: int, end: int, escape: str) -> Arguments:
        places = split_places(line.text[start:end], escape)
        if places and "=" not in line.text[start + places[0][0] : start + places[0][1]]:
            return legacy(line, start, end)
        words: list[Word] = []
        for first, last in places:
            equals = line.text.find("=", start + first, start + last)
            if equals < 0:
                word = line.word(start + first, start + last)
                raise DockerfileError(
                    f"Syntax error - can't find = in {quote(word.text)}."
                    " Must be of the form: name=value",
                    span=word.span,
                )
            words += (
                line.word(start + first, equals),
                line.word(equals + 1, start + last),
            )
        return Arguments(tuple(words))

    def legacy(line: LogicalLine, start: int, end: int) -> Arguments:
        blank = _BLANK.search(line.text, start, end)
        if blank is None:
            raise DockerfileError(f"{name} must have two arguments", span=line.span(start, end))
        words = (line.word(start, blank.start()), line.word(blank.end(), end))
        return Arguments(words, legacy=True)

    return parse


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_refuse)
"""Numbers are only counted, not converted: any is an error, and long ones are slow to convert."""


def _json(line: LogicalLine, start: int, end: int) -> Arguments | None:
    """Return the strings of a JSON array, None if the text is no JSON array.

    Raises DockerfileError for an array that holds something else.
    """
    if not line.text.startswith("[", start, end):
        return None
    span = line.span(start, end)
    try:
        values = _DECODER.decode(line.text[start:end])
    except ValueError:
        return None
    except RecursionError:
        values = [None]
    if not all(isinstance(value, str) for value in values):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only",
            span=span,
            hint="put each element in double quotes",
        )
    return Arguments(tuple(Word(_scalar(value), span) for value in values), json=True)


def _scalar(text: str) -> str:
    """Return `text` with what is no character replaced: JSON can name halves of a pair."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ARGUMENTS: dict[str, Parser] = {
    "ADD": _json_or_words,
    "ARG": _quotable,
    "CMD": _json_or_text,
    "COPY": _json_or_words,
    "ENTRYPOINT": _json_or_text,
    "ENV": _pairs("ENV"),
    "EXPOSE": _blank_separated,
    "FROM": _blank_separated,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _pairs("LABEL"),
    "MAINTAINER": _text,
    "RUN": _json_or_text,
    "SHELL": _json_or_text,
    "STOPSIGNAL": _text,
    "USER": _text,
    "VOLUME": _json_or_words,
    "WORKDIR": _text,
}
