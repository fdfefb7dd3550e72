"""`pybuild unpause`: paused containers go on."""

from __future__ import annotations

from buildkit.cli import pause
from buildkit.cli.arguments import Namespace, Parser


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    pause.add_arguments(parser)


def command(args: Namespace) -> int:
    """Let each go on; print its name."""
    return pause.switch(args, paused=False)
