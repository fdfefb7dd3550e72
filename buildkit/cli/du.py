"""`pybuild du`: what the store is full of, by type, and how much of it `prune` could give back."""

from __future__ import annotations

import sys
import time

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.du_filters import predicate
from buildkit.cli.listing import print_json, print_table
from buildkit.cli.options import open_root
from buildkit.durations import duration_text
from buildkit.sizes import size_text
from buildkit.usage import Entry, Usage, usage

_SHARING = ("image", "untagged image")


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="some of it: type=, id=, description=, until=; inuse, shared, private, mutable",
    )
    add("-v", "--verbose", action="store_true", help="each thing by itself")
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Print the table."""
    wanted = predicate(args.filter)
    with open_root(args) as root:
        found = usage(root, wanted)
    if args.filter:
        found = tuple(one for one in found if one.entries)
    if args.format == "json":
        print_json([_document(one, verbose=args.verbose) for one in found])
        return 0
    print_table(
        ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"],
        [
            [
                one.kind,
                str(len(one.entries)),
                str(one.active),
                size_text(one.size),
                size_text(one.reclaimable),
            ]
            for one in found
        ],
    )
    if args.verbose:
        _print_entries(found)
    total = size_text(sum(one.size for one in found))
    free = size_text(sum(one.reclaimable for one in found))
    sys.stdout.write(f"\nTotal: {total}, reclaimable: {free}\n")
    return 0


def _print_entries(found: tuple[Usage, ...]) -> None:
    now = time.time()
    for one in found:
        if one.entries and one.kind not in ("log", "context", "database"):
            sys.stdout.write(f"\n{one.kind}\n")
            entries = sorted(one.entries, key=lambda entry: -entry.size)
            heads = ["ID", "SIZE", "LAST USED", "IN USE", "DESCRIPTION"]
            rows = [_row(entry, now) for entry in entries]
            if one.kind in _SHARING:
                heads[2:2] = ["SHARED SIZE", "UNIQUE SIZE"]
                for row, entry in zip(rows, entries, strict=True):
                    row[2:2] = [size_text(entry.shared), size_text(entry.size - entry.shared)]
            print_table(heads, rows)


def _row(entry: Entry, now: float) -> list[str]:
    return [
        entry.name.removeprefix("sha256:")[:12],
        size_text(entry.size),
        f"{duration_text(int(max(now - entry.used, 0.0)))} ago" if entry.used else "",
        "yes" if entry.active else "",
        " ".join(entry.description.split())[:60],
    ]


def _document(one: Usage, *, verbose: bool) -> dict[str, object]:
    fields: dict[str, object] = {
        "type": one.kind,
        "total": len(one.entries),
        "active": one.active,
        "size": one.size,
        "reclaimable": one.reclaimable,
    }
    if verbose:
        fields["entries"] = [entry._asdict() for entry in one.entries]
    return fields
