"""`pybuild parse`: a Dockerfile as the parser sees it, for people and tools.

Syntax only: words are not expanded, quotes stay, an unknown instruction is no error. Exit status 1
for a syntax error. With `--format jsonl`, any number of files, a line each: `{"file",
"instructions"}` or `{"file", "error", "line"}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json
from buildkit.errors import DefinitionError, UsageError
from buildkit.main_context import NAMES
from buildkit.progress.escape import visible
from grammar.errors import GrammarError
from grammar.source import Source
from grammar.statements import Statement
from grammar.syntax import SyntaxTree, parse_syntax, to_json


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--file", action="append", default=[], metavar="FILE", help="- for standard input")
    add("--format", choices=("text", "json", "jsonl"), default="text", help="how to print")
    add("files", nargs="*", metavar="FILE", help="further files")


def command(args: Namespace) -> int:
    """Parse and print; return the exit status."""
    files = [*args.file, *args.files]
    if args.format == "jsonl":
        return _lines(files or [_default()])
    if len(files) > 1:
        raise UsageError(
            f"--format {args.format} is for one file", hint="--format jsonl prints a line a file"
        )
    source = _read(files[0] if files else _default())
    try:
        tree = parse_syntax(source)
    except GrammarError as error:
        sys.stderr.write(f"{error.render(source)}\n")
        return 1
    if args.format == "json":
        print_json(to_json(tree))
    else:
        sys.stdout.writelines(f"{visible(line)}\n" for line in _text(tree))
    return 0


def _default() -> str:
    """Return the name of the Dockerfile in the working directory."""
    import os  # for this case only

    return next((name for name in NAMES if os.path.exists(name)), NAMES[0])


def _read(path: str) -> Source:
    """Return the source in a file. Raises DefinitionError."""
    if path == "-":
        return Source.decode("-", sys.stdin.buffer.read())
    try:
        return Source.read(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DefinitionError(f"failed to read dockerfile: open {path}: {reason}") from error


def _lines(files: list[str]) -> int:
    """Print a line for each file; 1 if one of them could not be parsed."""
    status = 0
    for file in files:
        found: dict[str, object] = {"file": file}
        try:
            found["instructions"] = to_json(parse_syntax(_read(file)))["instructions"]
        except GrammarError as error:
            found |= {"error": str(error), "line": error.line}
            status = 1
        except DefinitionError as error:
            found |= {"error": error.message, "line": None}
            status = 1
        sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
    return status


def _text(tree: SyntaxTree) -> Iterator[str]:
    """Yield an instruction a line, with its lines in front and what it consists of below it."""
    for directive in tree.directives:
        yield f"{directive.span.line}: directive {directive.name}={directive.value}"
    for statement in tree.statements:
        first, last = statement.span.line, statement.span.last_line
        lines = str(first) if first == last else f"{first}-{last}"
        yield from _statement(statement, f"{lines}: ", "    ")


def _statement(statement: Statement, before: str, indent: str) -> Iterator[str]:
    yield f"{before}{statement.keyword.text}{' (json)' if statement.json else ''}"
    for flag in statement.flags:
        value = "" if flag.value is None else f"={flag.value}"
        yield f"{indent}flag --{flag.name}{value}"
    for word in statement.args:
        yield f"{indent}arg {word.text}"
    for heredoc in statement.heredocs if statement.sub is None else ():
        kind = f"{'' if heredoc.expand else ' quoted'}{' tabs' if heredoc.chomp else ''}"
        yield f"{indent}heredoc {heredoc.name}{kind}, {heredoc.content.count(chr(10))} lines"
    if statement.sub is not None:
        yield from _statement(statement.sub, indent, f"{indent}    ")
