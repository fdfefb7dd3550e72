"""The first lines of the program `pybuild`: what is installed under that name calls `entry`."""

from __future__ import annotations

import os
import sys

from buildkit.cli import bundle


def entry() -> None:
    """Run `pybuild` as `buildkit.cli.main` does, with its modules from a bundle."""
    status = 130
    try:
        kept = bundle.installed(sys.argv[1:])
        from buildkit.cli.main import program  # by way of the bundle

        status = program()
        if status == 0:
            _keep(kept)
    except KeyboardInterrupt:
        pass  # while it starts there is nothing to undo, and when it has ended nothing to do
    os._exit(status)


def _keep(kept: bundle.Bundle) -> None:
    try:
        kept.keep()
    except OSError:
        pass  # it saves time, and nothing else
