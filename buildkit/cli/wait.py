"""`pybuild wait`: until containers have ended; prints their exit codes."""

from __future__ import annotations

import argparse
import sys

from buildkit.cli.containers import found, names_argument, opened
from buildkit.containers.ending import wait
from buildkit.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--condition",
        default="exited",
        choices=("exited", "stopped", "healthy", "unhealthy"),
        help="what to wait for",
    )
    names_argument(parser)


def command(args: argparse.Namespace) -> int:
    """Wait for each in turn; print the exit code of each."""
    health = args.condition if args.condition in ("healthy", "unhealthy") else ""
    with opened(args) as (_root, containers):
        for one in found(containers, args.containers):
            code = wait(one, health)
            if health and one.state.health != health:
                raise UsageError(f"container {one.record.name} has ended before it was {health}")
            sys.stdout.write(f"{code}\n")
            sys.stdout.flush()
    return 0
