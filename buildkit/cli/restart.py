"""`pybuild restart`: containers end as with `stop`, and start again."""

from __future__ import annotations

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import chosen, in_processes, is_running, names_argument, opened
from buildkit.cli.options import patience
from buildkit.containers.ending import stop
from buildkit.containers.flags import signal_of
from buildkit.containers.start import expect_to_run, start
from buildkit.snapshot.overlay import OverlayStore


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-t", "--time", "--timeout", type=patience, default=-1.0, metavar="SECONDS", dest="time")
    add("-s", "--signal", default="", metavar="SIGNAL", help="in place of its stop signal")
    add("-a", "--all", action="store_true", help="all that run")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Restart each; print its name."""
    names = list(args.containers)
    if args.all or not names:
        with opened(args) as (_root, containers):
            names = [one.record.name for one in chosen(args, containers, is_running)]
    return in_processes(names, lambda name: _restart(args, name))


def _restart(args: Namespace, name: str) -> None:
    with opened(args, shared=True) as (root, containers):
        one = containers.find(name)
        if not stop(one, signal=signal_of(args.signal), timeout=args.time, again=True):
            started = start(root, OverlayStore(root), one, attached=False)
            expect_to_run(started)
