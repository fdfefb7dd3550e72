"""`pybuild diff`: what a container has changed in its image, or what two images differ in.

One name is a container, as with docker: A added, C changed, D deleted. Two names are images, or
containers that stand still. Exit status 0; 1 with `--exit-code` when something is different.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.containers.files import changes
from buildkit.containers.store import ContainerStore
from buildkit.errors import UsageError
from buildkit.progress.escape import visible
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.usage = "pybuild diff [OPTIONS] CONTAINER\n       pybuild diff [OPTIONS] IMAGE IMAGE"
    add = parser.add_argument
    add("--summary", action="store_true", help="of two: print sums by directory and by layer only")
    add("--times", action="store_true", help="of two: other times count as a change")
    add("--exit-code", action="store_true", help="of two: exit with 1 when they differ")
    add("--format", choices=("text", "json"), default="text", help="of two: how to print")
    add("names", nargs="+", metavar="CONTAINER|IMAGE", help="a name or an ID")


def command(args: Namespace) -> int:
    """Print a line for each changed path."""
    if len(args.names) > 2:
        raise UsageError(
            f"one argument too many: {args.names[2]}", hint="one container, or two images"
        )
    with opened(args) as (root, containers):
        if len(args.names) == 2:
            return _compared(root, containers, args)
        one = containers.find(args.names[0])
        for letter, path in changes(OverlayStore(root), one):
            sys.stdout.write(f"{letter} {visible(path)}\n")
    return 0


def _compared(root: StateRoot, containers: ContainerStore, args: Namespace) -> int:
    from buildkit.cli.differences import print_document, print_lines  # for two names only
    from buildkit.containers.sides import side_of
    from buildkit.inventory.difference import difference

    with ExitStack() as stack:
        first, second = (side_of(root, containers, name, stack) for name in args.names)
        found = list(difference(first, second, times=args.times))
    if args.format == "json":
        print_document(first, second, found)
    else:
        print_lines(first, second, found, summary=args.summary)
    return 1 if found and args.exit_code else 0
