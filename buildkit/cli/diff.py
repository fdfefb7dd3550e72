"""`pybuild diff`: what a container has changed in its image: A added, C changed, D deleted."""

import argparse
import sys

from buildkit.cli.containers import opened
from buildkit.containers.files import changes
from buildkit.progress.escape import visible
from buildkit.snapshot.overlay import OverlayStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("container", metavar="CONTAINER")


def command(args: argparse.Namespace) -> int:
    """Print a line for each changed path."""
    with opened(args) as (root, containers):
        one = containers.find(args.container)
        for letter, path in changes(OverlayStore(root), one):
            sys.stdout.write(f"{letter} {visible(path)}\n")
    return 0
