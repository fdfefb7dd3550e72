"""BuildKit's own parser, by way of the `dockerfile` package, and the same view of ours.

The package holds the parser of BuildKit 0.12.5; `DIFFERENCES` lists where a newer one, and so ours,
does something else.
"""

import json
from typing import NamedTuple

import dockerfile  # type: ignore[import-not-found, unused-ignore]

from grammar.errors import DockerfileError
from grammar.source import Source
from grammar.statements import Statement
from grammar.syntax import parse_syntax, statement_json


class Seen(NamedTuple):
    """What both parsers say about an instruction."""

    name: str
    sub: str | None
    line: int
    end_line: int
    flags: tuple[str, ...]
    args: tuple[str, ...]
    json: bool
    original: str
    heredocs: tuple[tuple[str, str], ...]


DIFFERENCES = {
    "a blank between << and the name is new": "RUN << EOF\na\nEOF\n",
    "such an opener counts in arithmetic too": "RUN echo $(( 1 << 3 ))\n",
    "quotes that do not match in a heredoc's name are an error now": "RUN <<'E\na\nE\n",
    "text behind a JSON array makes it a shell form now": 'CMD ["a"] b\n',
    "a flag is unescaped with the file's escape token now": "# escape=`\nCOPY --a=\\b c d\n",
    "a flag's bytes are characters there": "FROM a\nCOPY --chown=\u00e9 a b\n",
    "the check directive is new": "# check=skip=all\n# escape=`\nRUN a`\nb\n",
    "a modifier that only a shell knows does not hide a heredoc": "RUN ${a^^} <<E\nb\nE\n",
}
"""Why, and a file that is seen differently."""


def is_excused(text: str) -> bool:
    """Say whether one of DIFFERENCES may show in a generated file."""
    try:
        tree = parse_syntax(Source("Dockerfile", text))
    except DockerfileError:
        return False
    escapes = any(found.name == "escape" and found.value == "`" for found in tree.directives)
    statements = [statement.sub or statement for statement in tree.statements]
    return any(
        (escapes and "--" in statement.original)
        or _is_longer_than_json(statement)
        or any(not f"{flag.name}{flag.value}".isascii() for flag in statement.flags)
        for statement in (*tree.statements, *statements)
    )


def _is_longer_than_json(statement: Statement) -> bool:
    texts = [statement.rest.text, *(word.text for word in statement.args)]
    for text in texts:
        try:
            json.JSONDecoder().raw_decode(text)
        except ValueError:
            continue
        if text.startswith("[") and not statement.json:
            return True
    return False


def theirs(text: str) -> tuple[Seen, ...] | None:
    """Return what BuildKit's parser sees, None for an error."""
    try:
        commands = dockerfile.parse_string(text)
    except dockerfile.GoParseError:
        return None
    return tuple(
        Seen(
            name=found.cmd or "",
            sub=found.sub_cmd,
            line=found.start_line,
            end_line=found.end_line,
            flags=found.flags,
            args=found.value,
            json=found.json,
            original=found.original or "",
            heredocs=tuple((doc.name, doc.content) for doc in found.heredocs),
        )
        for found in commands
    )


def ours(text: str) -> tuple[Seen, ...] | None:
    """Return what our parser sees, None for an error."""
    try:
        tree = parse_syntax(Source.decode("Dockerfile", text.encode()))
    except DockerfileError:
        return None
    return tuple(_seen(statement) for statement in tree.statements)


def _seen(statement: Statement) -> Seen:
    """Return the package's view: it shows an ONBUILD's arguments as its own, and no more of it."""
    found = statement_json(statement)
    sub = statement.sub
    args = [word.text for word in (statement if sub is None else sub).args]
    if sub is not None and sub.sub is not None:
        args = [""]
    return Seen(
        name=statement.keyword.text,
        sub=None if sub is None else sub.keyword.text,
        line=statement.span.line,
        end_line=statement.span.last_line,
        flags=tuple(map(str, found["flags"] if isinstance(found["flags"], list) else ())),
        args=tuple(args),
        json=(sub or statement).json,
        original=str(found["original"]),
        heredocs=()
        if sub is not None
        else tuple((doc.name, doc.content) for doc in statement.heredocs),
    )
