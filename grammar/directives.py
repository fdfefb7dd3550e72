"""Parser directives: the `# syntax=`, `# escape=` and `# check=` at the very top of a file.

In: a source, or a directive's value. Out: `Directive` values; the settings of `check`.
Document: docs/dockerfile.md, chapter 2.
"""

from __future__ import annotations

import json
import re

from grammar.errors import DockerfileError, quote
from grammar.instructions import Directive
from grammar.source import Source, Span
from grammar.words import SPACE
from runtime.typed import Literal, cast
from runtime.values import NamedTuple

DEFAULT_ESCAPE = "\\"

_DIRECTIVE = r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*"
_NAMES = ("syntax", "escape", "check")
_TRUE = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_FALSE = frozenset(("0", "f", "F", "false", "False", "FALSE"))


class CheckOptions(NamedTuple):
    """What a check setting says. A list may be `("all",)`; `error` is None if not mentioned."""

    skip: tuple[str, ...] = ()
    experimental: tuple[str, ...] = ()
    error: bool | None = None


def read_directives(source: Source) -> tuple[Directive, ...]:
    """Return the directives; the first line that is none ends them, silently and for good.

    Raises DockerfileError for a directive given twice and for an escape token that is none.
    """
    directives = _leading(source.path, source.text, "#")
    seen: set[str] = set()
    for directive in directives:
        if directive.name in seen:
            raise DockerfileError(
                f"only one {directive.name} parser directive can be used", span=directive.span
            )
        seen.add(directive.name)
        if directive.name == "escape" and directive.value not in ("\\", "`"):
            raise DockerfileError(
                f"invalid escape token '{directive.value}' does not match ` or \\",
                span=directive.span,
            )
    return directives


def escape_token(directives: tuple[Directive, ...]) -> str:
    """Return the escape token that `directives` set."""
    return next((found.value for found in directives if found.name == "escape"), DEFAULT_ESCAPE)


def detect_syntax(source: Source) -> str | None:
    """Return the frontend that a text asks for, whatever language it is in.

    More lenient than `read_directives`: behind a `#!` line, after `//`, or as a key of a JSON
    document. Up to its first blank it is an image, the whole is a command line.
    """
    text = source.text
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    for comment in ("#", "//"):
        for directive in _leading(source.path, text, comment):
            if directive.name == "syntax":
                return directive.value
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    value = document.get("syntax") if isinstance(document, dict) else None
    return value if isinstance(value, str) else None


def parse_check(value: str, span: Span | None = None) -> CheckOptions:
    """Return what `skip=RuleA,RuleB;error=true;experimental=all` says. Raises DockerfileError."""
    options = CheckOptions()
    for part in value.split(";") if value.strip() else ():
        key, equals, setting = (piece.strip() for piece in part.partition("="))
        rules = tuple(rule.strip() for rule in setting.split(",") if rule.strip())
        if key == "skip" and equals:
            options = options._replace(skip=options.skip + rules)
        elif key == "experimental" and equals:
            options = options._replace(experimental=options.experimental + rules)
        elif key == "error" and setting in _TRUE | _FALSE:
            options = options._replace(error=setting in _TRUE)
        else:
            name = part.strip() if not equals or key == "error" else key
            raise DockerfileError(f"invalid check option {quote(name)}", span=span)
    return options


def _leading(path: str, text: str, comment: str) -> tuple[Directive, ...]:
    """Return the directives on the first lines, each behind the token `comment`."""
    directives: list[Directive] = []
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].rstrip("\r")
        stripped = line.lstrip(SPACE)
        if not stripped.startswith(comment):
            break
        match = re.fullmatch(_DIRECTIVE, stripped[len(comment) :].lstrip(SPACE), re.ASCII)
        name = match[1].lower() if match else ""
        if match is None or name not in _NAMES:
            break
        number = len(directives) + 1
        span = Span(path, number, len(line) - len(stripped), len(line), number)
        name = cast(Literal["syntax", "escape", "check"], name)
        directives.append(Directive(name, match[2], span))
        position = end + 1
    return tuple(directives)
