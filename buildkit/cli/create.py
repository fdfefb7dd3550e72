"""`pybuild create`: a container that is made and not started yet."""

from __future__ import annotations

import sys

from buildkit.cli import run_flags
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancellable
from buildkit.cli.options import open_root
from buildkit.cli.run_options import wishes_of
from buildkit.cli.running import cidfile, made
from buildkit.snapshot.overlay import OverlayStore


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `run`."""
    parser.usage = "pybuild create [OPTIONS] IMAGE [COMMAND...]"
    run_flags.add_arguments(parser)


def command(args: Namespace) -> int:
    """Make the container; print its ID."""
    wishes = wishes_of(args)
    with cidfile(args.cidfile) as tell_identity, cancellable(), open_root(args) as root:
        identity = made(root, OverlayStore(root), args, wishes).record.identity
        tell_identity(identity)
    sys.stdout.write(f"{identity}\n")
    return 0
