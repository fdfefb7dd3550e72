"""`pybuild completion`: what a shell needs to complete pybuild's command lines.

The script is made of the arguments that the commands declare, and is text that stays as it is; only
names of containers, images and volumes are asked for when they are to be completed.
"""

from __future__ import annotations

import sys
from importlib import import_module

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.completion_words import words

_SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: Parser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", choices=_SHELLS, metavar="bash|zsh|fish")


def command(args: Namespace) -> int:
    """Print the script."""
    module = import_module(f"buildkit.cli.completion_{args.shell}")
    sys.stdout.write(module.script(tuple(words())))
    return 0
