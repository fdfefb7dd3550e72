"""`pybuild top`: the processes of a container, by their numbers on the host."""

from __future__ import annotations

import os

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import is_running, opened
from buildkit.cli.listing import print_table
from buildkit.containers.processes import read_process
from buildkit.containers.store import not_running
from buildkit.errors import UsageError
from runtime.control import Connection, Listed, Processes


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("container", metavar="CONTAINER")


def command(args: Namespace) -> int:
    """Print a line for each process."""
    with opened(args) as (_root, containers):
        one = containers.find(args.container)
        if not is_running(one):
            raise not_running(one)
        answer, _fds = Connection.to(one.directory).ask(Processes())
        if not isinstance(answer, Listed):
            raise UsageError("the monitor of the container did not answer")
        found = [read_process(pid) for pid in answer.pids]
        ticks = os.sysconf("SC_CLK_TCK")
        rows = [
            (
                str(process.user),
                str(process.pid),
                str(process.parent),
                process.state,
                _time(process.ticks // ticks),
                f"{process.memory >> 10}K",
                process.command,
            )
            for process in found
            if process is not None
        ]
    print_table(("UID", "PID", "PPID", "S", "TIME", "RSS", "COMMAND"), rows)
    return 0


def _time(seconds: int) -> str:
    """Return processor time; of a long-running program that is more than a day's."""
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
