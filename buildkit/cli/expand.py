"""`pybuild expand`: a word with its variables replaced, as in a Dockerfile.

Exit status 1 for a word that cannot be expanded. Variables are those of `-e` alone; `-e NAME` takes
the caller's.
"""

from __future__ import annotations

import json
import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.errors import UsageError
from grammar.words import expand, expand_words


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.usage = "pybuild expand [OPTIONS] -- WORD"
    add("--escape", default="\\", metavar="CHAR", help="the escape token, \\ or `")
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="a variable")
    add("--words", action="store_true", help="split at blanks, print a JSON list")
    add("--format", choices=("text", "json"), default="text", help="how to print")
    add("word", metavar="WORD")


def command(args: Namespace) -> int:
    """Print the expanded word."""
    if args.escape not in ("\\", "`"):
        raise UsageError(f"invalid escape token '{args.escape}' does not match ` or \\")
    env: dict[str, str] = {}
    for text in args.env:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"invalid --env {text!r}", hint="the form is NAME=VALUE")
        if equals:
            env[name] = value
        elif name in os.environ:
            env[name] = os.environ[name]
    text = _expanded(args, env)
    sys.stdout.buffer.write(f"{text}\n".encode("utf-8", "surrogateescape"))
    return 0


def _expanded(args: Namespace, env: dict[str, str]) -> str:
    """Return what to print. Raises GrammarError."""
    if args.words:
        return json.dumps(expand_words(args.word, env, args.escape))
    text = expand(args.word, env, args.escape).text
    return json.dumps(text) if args.format == "json" else text
