"""The first lines of the program `pybuild`: what is installed under that name calls `entry`."""

import os
import sys

from buildkit.cli import bundle


def entry() -> None:
    """Run `pybuild` as `buildkit.cli.main` does, with its modules from a bundle."""
    kept = bundle.installed(sys.argv[1:])
    from buildkit.cli.main import program  # by way of the bundle

    status = program()
    if status == 0:
        try:
            kept.keep()
        except OSError:
            pass  # it saves time, and nothing else
    os._exit(status)
