"""`pybuild events`: what happens to containers, as it happens."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.cli.moments import seconds_of
from buildkit.cli.template import line_of
from buildkit.errors import UsageError
from buildkit.progress.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO


_PAUSE = 0.1
_NANO = 1_000_000_000


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--since", default="", metavar="TIME", help="RFC 3339, seconds, or a span as 10m")
    add("--until", default="", metavar="TIME", help="end there; in the past: do not wait")
    add("--no-stream", action="store_true", help="do not wait for more")
    add("-f", "--filter", action="append", default=[], metavar="KEY=VALUE")
    add("--format", default="", metavar="TEMPLATE", help="json, or as '{{.Action}}'")


def command(args: Namespace) -> int:
    """Print a line for each event."""
    since = seconds_of(args.since) if args.since else 0.0
    until = seconds_of(args.until) if args.until else 0.0
    filters = _filters(args.filter)
    with opened(args) as (root, _containers):
        path = root.path("containers", "events")
    wait = not args.no_stream and not (until and until <= time.time())
    if not since and wait:
        since = time.time()
    for event in _events(path, wait=wait, until=until):
        moment = event["time"] / _NANO
        if moment < since or (until and moment > until) or not _matches(event, filters):
            continue
        sys.stdout.write(f"{_text(event, args.format)}\n")
        sys.stdout.flush()
    return 0


def _filters(texts: list[str]) -> dict[str, set[str]]:
    """Return the values that are wanted of each key. Raises UsageError."""
    wanted: dict[str, set[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in ("container", "event", "type", "image") or not equals:
            hint = "KEY=VALUE with container, event, image or type"
            raise UsageError(f"unknown filter {text!r}", hint=hint)
        wanted.setdefault(key, set()).add(value)
    return wanted


def _events(path: str, *, wait: bool, until: float) -> Iterator[dict[str, Any]]:
    """Yield the events in the file at `path` and in the one before, then those that come."""
    with contextlib.suppress(FileNotFoundError), open(f"{path}.1", "rb") as file:
        yield from _read(file)
    while True:
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            yield from _followed(file, path, wait=wait, until=until)
        if _is_over(wait=wait, until=until):
            return
        time.sleep(_PAUSE)


def _followed(file: BinaryIO, path: str, *, wait: bool, until: float) -> Iterator[dict[str, Any]]:
    """Yield the events of a file until it is no longer the one at `path`."""
    while True:
        is_there = _is_at(file, path)  # first, so that nothing comes behind what is read then
        yield from _read(file)
        if not is_there or _is_over(wait=wait, until=until):
            return
        time.sleep(_PAUSE)


def _read(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the events that are there by now; half a line is left for later."""
    while (line := file.readline()).endswith(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("time"), int):
            yield event
    file.seek(-len(line), os.SEEK_CUR)


def _is_at(file: BinaryIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _is_over(*, wait: bool, until: float) -> bool:
    return not wait or (until != 0 and time.time() > until)


def _matches(event: dict[str, Any], filters: dict[str, set[str]]) -> bool:
    """Say whether an event is wanted: of filters with one key any suffices, as with docker."""
    attributes = event.get("Attributes", {})
    known = {
        "event": (event.get("Action", ""),),
        "type": (event.get("Type", ""),),
        "image": (attributes.get("image", ""),),
        "container": (attributes.get("name", ""), event.get("id", ""), event.get("id", "")[:12]),
    }
    return all(not values.isdisjoint(known[key]) for key, values in filters.items())


def _text(event: dict[str, Any], template: str) -> str:
    if template == "json":
        return json.dumps(event)
    if template:
        return line_of(template, event, "{{.Action}}")
    seconds, rest = divmod(event["time"], _NANO)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    pairs = ", ".join(f"{key}={value}" for key, value in event.get("Attributes", {}).items())
    return visible(f"{moment}.{rest:09d}Z container {event['Action']} {event['id']} ({pairs})")
