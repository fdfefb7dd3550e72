"""`pybuild prune`: takes away what nothing needs. Images with a name stay."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from buildkit.cli.arguments import SUPPRESS, Namespace, Parser
from buildkit.cli.interrupts import cancellable
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.durations import parse_duration
from buildkit.errors import UsageError
from buildkit.sizes import parse_size, size_text

TYPES: Mapping[str, str] = {
    **{kind: kind for kind in ("image", "step", "cache", "blob", "context")},
    "regular": "step",
    "exec.cachemount": "cache",
    "source.local": "context",
}
"""What a filter calls the kinds of `buildkit.gc`: by their names here, and by BuildKit's."""

_WARNING = (
    "This removes images without a name, results of earlier steps that no image with a name\n"
    "needs{more}, and what is left of them.\n"
)


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="do not ask")
    add(
        *("-a", "--all"),
        action="store_true",
        help="also the whole build cache, directories of cache mounts, and compressed layers",
    )
    add(
        "--filter",
        action="append",
        default=[],
        metavar="until=TIME|type=TYPE",
        help=f"older than, as 24h; only of a type, of {', '.join(sorted(TYPES))}",
    )
    add("--max-used-space", metavar="SIZE", help="stop when layers and blobs take no more")
    add("--min-free-space", metavar="SIZE", help="stop when so much of the disk is free")
    add("--reserved-space", metavar="SIZE", help="leave so much of the cache whatever is said")
    add("--keep-storage", dest="max_used_space", help=SUPPRESS)
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Prune; print what went."""
    older_than, kinds = _filters(args.filter)
    max_used, min_free, reserved = (
        None if text is None else _limit(option, text)
        for option, text in (
            ("--max-used-space", args.max_used_space),
            ("--min-free-space", args.min_free_space),
            ("--reserved-space", args.reserved_space),
        )
    )
    if not args.force and not _confirmed(whole=args.all):
        return 1
    with cancellable(), open_root(args) as root:
        from buildkit.containers.lost import remove_lost
        from buildkit.gc import KINDS, Policy, prune  # for this command only

        remove_lost(root)
        policy = Policy(
            steps="all" if args.all else "unneeded",
            older_than=older_than,
            max_bytes=max_used,
            min_free=min_free,
            reserved=reserved or 0,
            kinds=kinds or KINDS,
        )
        pruned = prune(root, policy)
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


def parse_until(text: str) -> int:
    """Return the seconds that `until=24h` means."""
    key, _, value = text.partition("=")
    try:
        if key == "until":
            return parse_duration(value)
    except ValueError:
        pass
    raise UsageError(f"not a filter: {text!r}", hint="until=TIME, as until=24h, or type=TYPE")


def _filters(texts: Sequence[str]) -> tuple[int, frozenset[str]]:
    """Return how old what goes must be, in seconds, and of which kinds (empty: of all)."""
    older_than, kinds = 0, set()
    for text in (part for filters in texts for part in filters.split(",")):
        key, _, value = text.partition("=")
        if key != "type":
            older_than = max(older_than, parse_until(text))
        elif value in TYPES:
            kinds.add(TYPES[value])
        else:
            raise UsageError(
                f"no such type: {value!r}", hint=f"there are {', '.join(sorted(TYPES))}"
            )
    return older_than, frozenset(kinds)


def _limit(option: str, text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint="as in 10GB or 500m") from error
