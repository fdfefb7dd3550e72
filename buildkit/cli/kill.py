"""`pybuild kill`: a signal for the programs of containers, SIGKILL unless told."""

from __future__ import annotations

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import for_each, is_running, names_argument, opened
from buildkit.containers.ending import kill, stop
from buildkit.containers.flags import parse_signal
from buildkit.containers.store import Container

_KILL = 9


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-s", "--signal", default="KILL", metavar="SIGNAL")
    add("-a", "--all", action="store_true", help="all that run")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Send each the signal; print its name."""
    number = parse_signal(args.signal)

    def act(one: Container) -> None:
        kill(one, 0)
        if number == _KILL:
            # Not started again, and gone when the command returns.
            stop(one, signal=_KILL)
        else:
            kill(one, number)

    with opened(args) as (_root, containers):
        return for_each(args, containers, act, wanted=is_running)
