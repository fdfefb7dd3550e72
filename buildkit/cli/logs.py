"""`pybuild logs`: what a container has written."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.cli.moments import moment_of
from buildkit.errors import UsageError
from runtime import container
from runtime.containerlog import Entry, Reader

_PAUSE = 0.05


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--follow", action="store_true", help="go on until it has ended")
    add("--since", default="", metavar="TIME", help="RFC 3339, seconds, or a span as 10m")
    add("--until", default="", metavar="TIME")
    add("-n", "--tail", default="all", metavar="N", help="the last N lines")
    add("-t", "--timestamps", action="store_true")
    add("--names", action="store_true", help="the container's name before each line")
    add("container", metavar="CONTAINER")


def command(args: Namespace) -> int:
    """Print the log: each stream to ours of the same name."""
    since, until = moment_of(args.since), moment_of(args.until)
    with opened(args) as (_root, containers):
        one = containers.find(args.container)
    reader = Reader(one.directory)
    name = f"{one.record.name} ".encode() if args.names else b""
    printer = _Printer(name, stamped=args.timestamps)

    def wanted() -> Iterator[Entry]:
        for entry in reader.entries():
            if (not since or entry.time >= since) and (not until or entry.time <= until):
                yield entry

    ended = container.is_free(one.directory)
    for entry in last(wanted(), args.tail):
        printer.print(entry)
    while args.follow and not ended and (not until or moment_of(str(time.time())) <= until):
        time.sleep(_PAUSE)
        # In this order: what was written before the end is read after it is seen.
        ended = container.is_free(one.directory)
        for entry in wanted():
            printer.print(entry)
    return 0


def last(entries: Iterator[Entry], text: str) -> Iterator[Entry]:
    """Yield the entries of the last lines, as many as the value of `--tail` says."""
    if text in ("all", "-1"):
        yield from entries
        return
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"invalid value for --tail: {text}", hint="a number, or all")
    kept: deque[Entry] = deque()
    lines = 0
    for entry in entries:
        if not kept or kept[-1].text.endswith(b"\n"):
            lines += 1
        kept.append(entry)
        while lines > int(text):
            lines -= kept.popleft().text.endswith(b"\n")
            lines -= not kept and lines > 0
    yield from kept


class _Printer:
    """Writes entries to our streams, with names and times at the start of lines where wanted."""

    def __init__(self, name: bytes, *, stamped: bool) -> None:
        self._name = name
        self._stamped = stamped
        self._at_start = {1: True, 2: True}

    def print(self, entry: Entry) -> None:
        """Write one entry, at once: somebody may be following."""
        data = entry.text
        if self._at_start[entry.stream]:
            stamp = entry.time.encode() + b" " if self._stamped else b""
            data = self._name + stamp + data
        self._at_start[entry.stream] = entry.text.endswith(b"\n")
        view = memoryview(data)
        while view:
            view = view[os.write(entry.stream, view) :]
