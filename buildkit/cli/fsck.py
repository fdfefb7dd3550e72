"""`pybuild fsck`: is the store sound? Exit status 0 only when it is, or has been made so.

What a killed command has left half-made is told and no damage: the next command, or for layers the
next collection, takes it away.
"""

from __future__ import annotations

import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancellable
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.progress.escape import visible


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--full", action="store_true", help="accepted: layers are held against their digests")
    add("--quick", action="store_true", help="do not read the files of layers")
    add("--repair", action="store_true", help="drop or make again what is damaged")
    add("-q", "--quiet", action="store_true", help="print nothing")
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Check, print what was found, and say how it is by the exit status."""
    with cancellable(), open_root(args, mend=args.repair) as root:
        from buildkit.fsck import fsck  # many modules, for this command only

        findings = fsck(root, full=args.full or not args.quick, repair=args.repair)
    open_ones = [finding for finding in findings if finding.is_damage]
    if args.quiet:
        return 1 if open_ones else 0
    if args.format == "json":
        print_json([finding._asdict() for finding in findings])
        return 1 if open_ones else 0
    for finding in findings:
        ending = " (repaired)" if finding.repaired else ""
        sys.stdout.write(f"{visible(finding.what)} {visible(finding.problem)}{ending}\n")
    if open_ones:
        sys.stderr.write(f"{len(open_ones)} problems; 'pybuild fsck --repair' puts them right\n")
        return 1
    rest = " (layers were not read)" if args.quick and not args.full else ""
    sys.stdout.write(f"the store is sound{rest}\n")
    return 0
