"""`pybuild export`: the file system of a container as a tar."""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.containers.files import export
from buildkit.errors import UsageError
from buildkit.exporter.destination import check_open
from buildkit.snapshot.overlay import OverlayStore


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("-o", "--output", metavar="FILE", help="standard output unless told")
    parser.add_argument("container", metavar="CONTAINER")


def command(args: Namespace) -> int:
    """Write the tar; a file appears under its name when it is whole."""
    if args.output is None and sys.stdout.isatty():
        raise UsageError("a tar is not for a terminal", hint="add -o FILE")
    if args.output is None:
        check_open()
    with opened(args) as (root, containers):
        one = containers.find(args.container)
        store = OverlayStore(root)
        if args.output is None:
            export(store, one, sys.stdout.buffer.write)
            return 0
        aside = f"{args.output}.{os.getpid()}"
        try:
            with open(aside, "wb") as file:
                export(store, one, file.write)
            os.rename(aside, args.output)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise
    return 0
