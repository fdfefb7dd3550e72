"""`pybuild prune`: takes away what nothing needs. Images with a name stay."""

import argparse
import os
import re
import sys

from buildkit.cli.interrupts import cancellable
from buildkit.cli.listing import print_json, size_text
from buildkit.cli.options import open_root
from buildkit.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:[0-9]+[smhdw])+|[0-9]+")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)

_WARNING = (
    "This removes images without a name, results of earlier steps that no image with a name\n"
    "needs{more}, and what is left of them.\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="do not ask")
    add(
        *("-a", "--all"),
        action="store_true",
        help="also the whole build cache, directories of cache mounts, and compressed layers",
    )
    add("--filter", action="append", default=[], metavar="until=TIME", help="older than, as 24h")
    add("--max-used-space", metavar="SIZE", help="stop when layers and blobs take no more")
    add("--keep-storage", dest="max_used_space", help=argparse.SUPPRESS)
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: argparse.Namespace) -> int:
    """Prune; print what went."""
    older_than = max(map(parse_until, args.filter), default=0.0)
    limit = None if args.max_used_space is None else parse_size(args.max_used_space)
    if not args.force and not _confirmed(whole=args.all):
        return 1
    with cancellable(), open_root(args) as root:
        from buildkit.gc import Policy, prune  # for this command only

        steps = "all" if args.all else "unneeded"
        pruned = prune(root, Policy(steps=steps, older_than=older_than, max_bytes=limit))
    if args.format == "json":
        print_json(pruned._asdict())
        return 0
    for image in pruned.images:
        sys.stdout.write(f"Deleted: {image}\n")
    sys.stdout.write(
        f"{len(pruned.images)} images, {pruned.steps} results of steps, {len(pruned.layers)}"
        f" layers, {len(pruned.blobs)} blobs, {pruned.caches} cache mounts removed\n"
        f"Total reclaimed space: {size_text(pruned.size)}\n"
    )
    return 0


def _confirmed(*, whole: bool) -> bool:
    if not os.isatty(0):
        raise UsageError("nobody is there to be asked", hint="add --force")
    more = ", or that one needs (the whole build cache)" if whole else ""
    sys.stderr.write(_WARNING.format(more=more) + "Continue? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def parse_until(text: str) -> float:
    """Return the seconds that `until=24h` means."""
    key, _, value = text.partition("=")
    if key != "until" or not _DURATION.fullmatch(value):
        raise UsageError(f"not a filter: {text!r}", hint="until=TIME, as until=24h or until=90m")
    if value.isdigit():
        return float(value)
    return float(
        sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", value))
    )


def parse_size(text: str) -> int:
    """Return the bytes that `10GB` means, in powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a size: {text!r}", hint="as in 10GB or 500m")
    return int(float(match[1]) * 1024 ** ("kmgt".index(match[2].lower()) + 1 if match[2] else 0))
