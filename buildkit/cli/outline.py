"""`pybuild outline`: what a target can be given. Takes the options of `build`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from buildkit.cli import request as build_request
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.call import Call, call_of
from buildkit.cli.dockerfile import definition_of
from buildkit.cli.listing import print_json, print_table
from buildkit.frontend.outline import Offered, Outline, outline
from buildkit.progress.escape import visible
from buildkit.request import BuildRequest


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `build`."""
    build_request.add_options(parser)
    build_request.add_call_options(parser)
    parser.set_defaults(call="outline")
    build_request.add_context(parser, "outline")


def command(args: Namespace) -> int:
    """Print the outline."""
    return run(build_request.request_of(args), args, call_of(args, "outline"))


def run(request: BuildRequest, args: Namespace, call: Call) -> int:
    """Print the outline of the target that `request` asks for."""
    with definition_of(request, args) as dockerfile:
        found = outline(dockerfile, request.options)
    if call.format == "json":
        print_json(_document(found))
    else:
        _print(found)
    return 0


def _print(found: Outline) -> None:
    target = found.target
    sys.stdout.write(f"TARGET:      {visible(target.name or str(target.number))}\n")
    if target.description:
        sys.stdout.write(f"DESCRIPTION: {visible(target.description)}\n")
    _table(
        ["BUILD ARG", "VALUE", "DESCRIPTION"],
        [[one.name, one.value or "", one.description] for one in found.arguments],
    )
    for head, offered in (("SECRET", found.secrets), ("SSH", found.ssh)):
        rows = [[one.name, str(one.required).lower()] for one in offered]
        _table([head, "REQUIRED"], rows)
    _table(["CACHE"], [[one.name] for one in found.caches])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        sys.stdout.write("\n")
        print_table(heads, rows)


def _document(found: Outline) -> dict[str, object]:
    return {
        "name": found.target.name,
        "description": found.target.description,
        "args": [
            {
                "name": one.name,
                "description": one.description,
                "value": one.value,
                "line": one.span.line,
            }
            for one in found.arguments
        ],
        "secrets": [_required(one) for one in found.secrets],
        "ssh": [_required(one) for one in found.ssh],
        "cache": [{"ID": one.name, "line": one.span.line} for one in found.caches],
    }


def _required(one: Offered) -> dict[str, object]:
    return {"name": one.name, "required": one.required, "line": one.span.line}
