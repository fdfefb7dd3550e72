"""`pybuild targets`: the stages of a Dockerfile. Takes the options of `build`."""

from __future__ import annotations

from buildkit.cli import request as build_request
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.call import Call, call_of
from buildkit.cli.dockerfile import definition_of
from buildkit.cli.listing import print_json, print_table
from buildkit.frontend.outline import Target, targets
from buildkit.request import BuildRequest


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `build`."""
    build_request.add_options(parser)
    build_request.add_call_options(parser)
    parser.set_defaults(call="targets")
    build_request.add_context(parser, "targets")


def command(args: Namespace) -> int:
    """Print the targets."""
    return run(build_request.request_of(args), args, call_of(args, "targets"))


def run(request: BuildRequest, args: Namespace, call: Call) -> int:
    """Print the targets of the Dockerfile that `request` means."""
    with definition_of(request, args) as dockerfile:
        found = targets(dockerfile)
    if call.format == "json":
        print_json({"targets": [_document(target) for target in found]})
        return 0
    rows = [[_name(target), target.base, target.description] for target in found]
    print_table(["TARGET", "BASE", "DESCRIPTION"], rows)
    return 0


def _name(target: Target) -> str:
    return (target.name or str(target.number)) + (" (default)" if target.default else "")


def _document(target: Target) -> dict[str, object]:
    return {
        "name": target.name,
        "number": target.number,
        "default": target.default,
        "description": target.description,
        "base": target.base,
        "platform": target.platform,
        "line": target.span.line,
    }
