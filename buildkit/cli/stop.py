"""`pybuild stop`: containers end by their stop signal, or are killed after a while."""

from __future__ import annotations

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import for_each, is_running, names_argument, opened
from buildkit.cli.options import patience
from buildkit.containers.ending import stop
from buildkit.containers.flags import signal_of


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-t", "--time", "--timeout", type=patience, default=-1.0, metavar="SECONDS", dest="time")
    add("-s", "--signal", default="", metavar="SIGNAL", help="in place of its stop signal")
    add("-a", "--all", action="store_true", help="all that run")
    add("-i", "--ignore", action="store_true", help="accepted: what has ended is no error")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Stop each; print its name."""
    with opened(args) as (_root, containers):
        return for_each(
            args,
            containers,
            lambda one: stop(one, signal=signal_of(args.signal), timeout=args.time),
            wanted=is_running,
        )
