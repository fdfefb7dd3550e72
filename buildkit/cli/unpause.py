"""`pybuild unpause`: paused containers go on."""

from __future__ import annotations

import argparse

from buildkit.cli import pause


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    pause.add_arguments(parser)


def command(args: argparse.Namespace) -> int:
    """Let each go on; print its name."""
    return pause.switch(args, paused=False)
