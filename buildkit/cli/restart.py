"""`pybuild restart`: containers end as with `stop`, and start again."""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import chosen, is_running, names_argument, opened
from buildkit.cli.options import patience
from buildkit.cli.report import describe
from buildkit.containers.ending import stop
from buildkit.containers.flags import signal_of
from buildkit.containers.start import start
from buildkit.snapshot.overlay import OverlayStore
from runtime import starting


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
    status = 0
    for name in names:
        # Whoever has started one monitor can start no other process.
        pid = os.fork()
        if pid == 0:
            os._exit(_restart(args, name))
        status = max(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return status


def _restart(args: Namespace, name: str) -> int:
    try:
        with opened(args, shared=True) as (root, containers):
            one = containers.find(name)
            if not stop(one, signal=signal_of(args.signal), timeout=args.time, again=True):
                started = start(root, OverlayStore(root), one, attached=False)
                starting.running(started.connection)
    except Exception as error:  # noqa: BLE001 - told as everywhere, from a process of its own
        _code, message = describe(error)
        sys.stderr.write(message)
        sys.stderr.flush()
        return 1
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    return 0
