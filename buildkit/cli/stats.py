"""`pybuild stats`: what containers use, measured again and again or once."""

from __future__ import annotations

import json
import sys
import time

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import found, is_running, names_argument, opened
from buildkit.cli.listing import print_table
from buildkit.cli.options import seconds
from buildkit.cli.template import print_rows
from buildkit.containers.store import Container, ContainerStore, not_running
from buildkit.containers.use import Use, read_use
from buildkit.errors import UsageError
from buildkit.sizes import size_text
from runtime.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_HEADS = {
    "ID": "ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET IO",
    "BlockIO": "BLOCK IO",
    "PIDs": "PIDS",
}
"""docker's fields of a template, and what it calls their columns."""
_NOTHING = Use(0.0, 0, 0, 0, 0, 0, 0, 0)
_CLEAR = "\x1b[H\x1b[J"


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also containers that do not run")
    add("--no-stream", action="store_true", help="once")
    add("-i", "--interval", type=seconds, default=1.0, metavar="SECONDS")
    add("--format", default="table", metavar="TEMPLATE", help="json, or as '{{.CPUPerc}}'")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Print a table of all that run, or of those that are named."""
    if args.all and args.containers:
        raise UsageError("--all and names of containers exclude each other")
    with opened(args) as (_root, containers):
        while True:
            rows = _measured(args, containers)
            live = not args.no_stream and sys.stdout.isatty() and args.format == "table"
            if live:
                sys.stdout.write(_CLEAR)
            _print(args, rows)
            sys.stdout.flush()
            if args.no_stream:
                return 0


def _measured(args: Namespace, containers: ContainerStore) -> list[dict[str, Any]]:
    """Return what each uses; processor time over an interval between two looks."""
    if args.containers:
        chosen = list(found(containers, args.containers))
        for one in chosen:
            if not is_running(one):
                raise not_running(one)
    else:
        chosen = [one for one in containers.all() if args.all or is_running(one)]
    before = {one.record.identity: _read(one) for one in chosen}
    began = time.monotonic()
    time.sleep(min(args.interval, 0.2) if args.no_stream else args.interval)
    rows = []
    for one in chosen:
        first, second = before[one.record.identity], _read(one)
        if first is None or second is None:
            if args.all:
                rows.append(_row(one, _NOTHING, 0.0))
            continue
        seconds = time.monotonic() - began
        rows.append(_row(one, second, (second.cpu - first.cpu) / seconds))
    return rows


def _read(one: Container) -> Use | None:
    try:
        return read_use(one)
    except (SandboxError, OSError):
        # It has ended.
        return None


def _row(one: Container, use: Use, share: float) -> dict[str, Any]:
    percent = 100 * use.memory / use.memory_limit if use.memory_limit else 0.0
    usage = f"{size_text(use.memory)} / {size_text(use.memory_limit)}"
    return {
        "ID": one.short,
        "Name": one.record.name,
        "CPUPerc": f"{100 * share:.2f}%",
        "MemUsage": usage,
        "MemPerc": f"{percent:.2f}%",
        "NetIO": f"{size_text(use.received)} / {size_text(use.sent)}",
        "BlockIO": f"{size_text(use.read)} / {size_text(use.written)}",
        "PIDs": str(use.processes),
    }


def _print(args: Namespace, rows: list[dict[str, Any]]) -> None:
    if args.format == "json":
        sys.stdout.writelines(f"{json.dumps(row)}\n" for row in rows)
    elif args.format == "table":
        print_table(tuple(_HEADS.values()), [list(row.values()) for row in rows])
    else:
        print_rows(args.format, rows, _HEADS)
