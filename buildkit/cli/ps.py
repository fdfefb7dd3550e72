"""`pybuild ps`: the containers, those that run unless told otherwise."""

from __future__ import annotations

import json
import os
import sys
import time

from buildkit.cli.containers import opened
from buildkit.cli.listing import age_text, print_table, seconds_of
from buildkit.cli.port import place
from buildkit.cli.template import print_rows
from buildkit.containers.filters import matches, parse_filters
from buildkit.durations import duration_text
from buildkit.oci.reference import Reference
from buildkit.sizes import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from buildkit.cli.arguments import Namespace, Parser
    from buildkit.containers.store import Container
    from runtime.container import State


_HEADS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "State": "STATE",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "Size": "SIZE",
}
"""docker's fields of a template, and what it calls their columns."""
_RUNNING = ("running", "paused", "restarting")


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also those that do not run")
    add("-q", "--quiet", action="store_true", help="only IDs")
    add("-n", "--last", type=int, default=0, metavar="N", help="the newest N, of any state")
    add("-l", "--latest", action="store_true", help="the newest, of any state")
    add("-s", "--size", action="store_true", help="what they wrote, in bytes")
    add("-f", "--filter", action="append", default=[], metavar="KEY=VALUE")
    add("--format", default="table", metavar="TEMPLATE", help="json, or as '{{.Names}}'")
    add("--no-trunc", action="store_true", help="whole IDs and commands")


def command(args: Namespace) -> int:
    """Print the containers."""
    filters = parse_filters(args.filter)
    newest = 1 if args.latest else max(args.last, 0)
    with opened(args) as (root, containers):
        found = []
        for one in containers.all():
            try:
                state = one.state
            except FileNotFoundError:
                continue
            if one.record.remove and state.status == "exited":
                from buildkit.containers.lost import remove_if_lost  # for these only

                if remove_if_lost(root, containers, one):
                    continue
            shown = args.all or newest or any(f.key == "status" for f in filters)
            if (shown or state.status in _RUNNING) and matches(one, state, filters):
                found.append((one, state))
        if newest:
            found = found[:newest]
        rows = [row_of(one, state, args) for one, state in found]
    _print(args, rows)
    return 0


def _print(args: Namespace, rows: list[dict[str, Any]]) -> None:
    if args.quiet:
        sys.stdout.writelines(f"{row['ID']}\n" for row in rows)
    elif args.format == "json":
        sys.stdout.writelines(f"{json.dumps(row)}\n" for row in rows)
    elif args.format != "table":
        print_rows(args.format, rows, _HEADS)
    else:
        keys = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"]
        keys += ["Size"] if args.size else []
        print_table([_HEADS[key] for key in keys], [[row[key] for key in keys] for row in rows])


def row_of(one: Container, state: State, args: Namespace) -> dict[str, Any]:
    """Return a container as `ps` shows it."""
    record = one.record
    command = json.dumps(" ".join(record.args), ensure_ascii=False)
    if not args.no_trunc and len(command) > 22:
        command = f'{command[:20]}…"'
    return {
        "ID": record.identity if args.no_trunc else one.short,
        "Image": _familiar(record.image) if record.image else record.rootfs,
        "Command": command,
        "CreatedAt": record.created,
        "RunningFor": age_text(record.created, time.time()),
        "State": state.status,
        "Status": status_text(state),
        "Ports": ", ".join(
            f"{place(port)}->{port.inside}/{port.protocol}" for port in state.ports if state.pid
        ),
        "Names": record.name,
        "Labels": ",".join(f"{key}={value}" for key, value in record.labels),
        "Mounts": ",".join(mount.source or mount.target for mount in record.mounts),
        "Size": size_text(size_of(f"{one.directory}/layer/fs")) if args.size else "",
    }


def _familiar(image: str) -> str:
    if image.startswith("sha256:"):
        return image[7:19]
    return Reference.parse(image).familiar


def status_text(state: State) -> str:
    """Return how a container is, for people."""
    if state.status == "created":
        return "Created"
    now = time.time()
    if state.status == "exited":
        return f"Exited ({state.code}) {age_text(state.finished, now)}".replace(" N/A", "")
    if state.status == "restarting":
        return f"Restarting ({state.code})"
    text = f"Up {_span(state.started)}"
    if state.status == "paused":
        return f"{text} (Paused)"
    return f"{text} ({state.health})" if state.health else text


def _span(started: str) -> str:
    since = seconds_of(started)
    return "" if since is None else duration_text(int(max(0.0, time.time() - since)))


def size_of(directory: str) -> int:
    """Return the bytes of the files below a directory, those with several names once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for where, _directories, files in os.walk(directory):
        for name in files:
            try:
                status = os.lstat(os.path.join(where, name))
            except OSError:
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total
