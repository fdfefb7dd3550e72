"""`pybuild attach`: the terminal or the streams of a container that runs."""

from __future__ import annotations

import os

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.attending import tell
from buildkit.cli.containers import found, names_argument, opened
from buildkit.cli.options import switch
from buildkit.containers.store import not_running
from buildkit.errors import UsageError
from runtime import container, foreground
from runtime.control import Connection
from runtime.foreground import Manner


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--no-stdin", action="store_true", help="only look")
    add("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS")
    switch(parser, "--sig-proxy", default=True, help="pass signals on to its program")
    names_argument(parser, several=False)


def command(args: Namespace) -> int:
    """Attach; return the exit status of the container, 0 after leaving it."""
    with opened(args) as (_root, containers):
        one = next(found(containers, args.containers))
        if one.state.status not in ("running", "paused"):
            raise not_running(one)
        interactive = container.read_task(one.directory).interactive
    if one.record.terminal and not args.no_stdin and not os.isatty(0):
        raise UsageError("the input device is not a terminal", hint="add --no-stdin to look")
    manner = Manner(
        tty=one.record.terminal,
        stdin=interactive and not args.no_stdin,
        keys=foreground.parse_keys(args.detach_keys),
        signals=args.sig_proxy,
    )
    status = foreground.attach(Connection.to(one.directory), manner)
    if status is None:
        return 0
    tell(status)
    return status.code
