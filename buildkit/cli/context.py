"""`pybuild context`: what a build sees of its context, and why.

`ls` lists paths relative to the context, one a line; `why` names the line of the ignore file that
decides about a path.
"""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json
from buildkit.context.local import LocalContext
from buildkit.context.overview import Listed
from buildkit.errors import UsageError
from buildkit.main_context import NAMES
from buildkit.progress.escape import visible
from buildkit.sizes import size_text


def add_arguments(parser: Parser) -> None:
    """Declare the sub-commands and their options."""
    commands = parser.add_subparsers(dest="action", metavar="ls|why")
    ls = commands.add_parser("ls", help="list what a build sees")
    ls.add_argument("-f", "--file", metavar="FILE", help="the Dockerfile, whose ignore file counts")
    ls.add_argument("--ignored", action="store_true", help="list what it does not see")
    ls.add_argument("--big", action="store_true", help="files with their sizes, largest first")
    ls.add_argument("--format", choices=("text", "json"), default="text", help="how to print")
    ls.add_argument("directory", nargs="?", default=".", metavar="DIR")
    why = commands.add_parser("why", help="say which rule hides or keeps a path")
    why.add_argument(
        "-f", "--file", metavar="FILE", help="the Dockerfile, whose ignore file counts"
    )
    why.add_argument("-C", "--context", default=".", metavar="DIR", dest="directory")
    why.add_argument("--format", choices=("text", "json"), default="text", help="how to print")
    why.add_argument("paths", nargs="+", metavar="PATH", help="relative to the context")


def command(args: Namespace) -> int:
    """Run the sub-command."""
    context = LocalContext.open(args.directory, dockerfile=_dockerfile(args))
    try:
        return _why(context, args) if args.action == "why" else _ls(context, args)
    finally:
        context.close()


def _dockerfile(args: Namespace) -> str | None:
    """Return the path of the Dockerfile: it may bring an ignore file of its own."""
    if args.file is not None:
        return str(args.file)
    paths = (os.path.join(args.directory, name) for name in NAMES)
    return next((path for path in paths if os.path.exists(path)), None)


def _ls(context: LocalContext, args: Namespace) -> int:
    found = [one for one in context.list() if one.seen != args.ignored]
    if args.big:
        found = [one for one in found if not one.directory]
        found.sort(key=lambda one: (-one.size, one.path))
    if args.format == "json":
        print_json([_entry(one) for one in found])
    elif args.big:
        sys.stdout.writelines(f"{size_text(one.size):>8}  {visible(one.path)}\n" for one in found)
    else:
        sys.stdout.writelines(f"{visible(one.path)}\n" for one in found)
    return 0


def _entry(one: Listed) -> dict[str, object]:
    return {
        "path": os.fsencode(one.path).decode("utf-8", "replace"),
        "directory": one.directory,
        "size": one.size,
    }


def _why(context: LocalContext, args: Namespace) -> int:
    answers = []
    for path in args.paths:
        inside = _inside(path, args.directory)
        rule = context.why(inside)
        hidden = rule is not None and rule.excludes
        answers.append(
            {
                "path": inside,
                "hidden": hidden,
                "file": context.ignore_file or None,
                "line": rule.line if rule else None,
                "rule": rule.text if rule else None,
            }
        )
        if args.format == "text":
            verb = "hides" if hidden else "keeps"
            reason = f"no line of {context.ignore_file} speaks of it: a build sees it"
            if rule is not None:
                reason = f"line {rule.line} of {context.ignore_file} {verb} it: {rule.text}"
            elif not context.ignore_file:
                reason = "there is no ignore file: a build sees it"
            sys.stdout.write(f"{visible(f'{inside}: {reason}')}\n")
    if args.format == "json":
        print_json(answers if len(answers) > 1 else answers[0])
    return 0


def _inside(path: str, directory: str) -> str:
    """Return an absolute path relative to the context; others are that already."""
    if not path.startswith("/"):
        return path
    # What is asked about may be a link itself, but not the way to it.
    above, name = os.path.split(path.rstrip("/") or "/")
    relative = os.path.relpath(
        os.path.join(os.path.realpath(above), name), os.path.realpath(directory)
    )
    if relative == ".." or relative.startswith("../"):
        raise UsageError(f"{path} lies outside of {directory}")
    return relative
