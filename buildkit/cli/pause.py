"""`pybuild pause`: nothing in a container runs until `unpause`."""

from __future__ import annotations

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import for_each, is_running, names_argument, opened
from buildkit.containers.store import Container, not_running
from runtime.control import Connection, Pause


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("-a", "--all", action="store_true", help="all that run")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Pause each; print its name."""
    return switch(args, paused=True)


def switch(args: Namespace, *, paused: bool) -> int:
    """Pause containers, or let them go on."""

    def act(one: Container) -> None:
        if not is_running(one):
            raise not_running(one)
        Connection.to(one.directory).ask(Pause(paused))

    with opened(args) as (_root, containers):
        return for_each(args, containers, act, wanted=is_running)
