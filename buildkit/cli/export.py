"""`pybuild export`: the file system of a container as a tar."""

from __future__ import annotations

import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.cli.interrupts import cancellable
from buildkit.containers.files import export
from buildkit.errors import UsageError
from buildkit.exporter.destination import STDOUT, output_file
from buildkit.snapshot.overlay import OverlayStore


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("-o", "--output", metavar="FILE", help="standard output unless told")
    parser.add_argument("container", metavar="CONTAINER")


def command(args: Namespace) -> int:
    """Write the tar; a file appears under its name when it is whole."""
    if args.output is None and sys.stdout.isatty():
        raise UsageError("a tar is not for a terminal", hint="add -o FILE")
    with cancellable(), opened(args) as (root, containers):
        one = containers.find(args.container)
        store = OverlayStore(root)
        with output_file(args.output or STDOUT) as sink:
            export(store, one, sink)
    return 0
