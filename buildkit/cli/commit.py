"""`pybuild commit`: an image of what a container is now."""

from __future__ import annotations

import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.cli.options import switch
from buildkit.cli.tag import parse_name
from buildkit.containers.commit import commit
from buildkit.exporter.destination import write_result
from buildkit.snapshot.overlay import OverlayStore


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-a", "--author", default="", metavar="TEXT")
    add("-m", "--message", default="", metavar="TEXT")
    add("-c", "--change", action="append", default=[], metavar="INSTRUCTION")
    switch(parser, "-p", "--pause", default=True, help="accepted")
    add("-q", "--quiet", action="store_true", help="accepted")
    add("--iidfile", metavar="FILE", help="write the ID of the image there")
    add("container", metavar="CONTAINER")
    add("image", nargs="?", metavar="NAME[:TAG]")


def command(args: Namespace) -> int:
    """Make the image; print its ID."""
    name = None if args.image is None else parse_name(args.image)
    with opened(args) as (root, containers):
        one = containers.find(args.container)
        image = commit(
            root,
            OverlayStore(root),
            one,
            name=name,
            changes=args.change,
            author=args.author,
            message=args.message,
        )
    if args.iidfile is not None:
        write_result(args.iidfile, image)
    sys.stdout.write(f"{image}\n")
    return 0
