"""`pybuild rename`: a container gets another name."""

from __future__ import annotations

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("container", metavar="CONTAINER", help="a name or an ID")
    parser.add_argument("name", metavar="NAME", help="its new name")


def command(args: Namespace) -> int:
    """Rename it; print nothing."""
    with opened(args) as (_root, containers):
        containers.rename(containers.find(args.container), args.name)
    return 0
