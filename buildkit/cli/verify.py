"""`pybuild verify`: runs some of the cached steps again, and compares what they give.

Exit status: 0 all gave what the cache has; 1 one gave something else, or failed.
"""

from __future__ import annotations

import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancellable
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.cli.values import split_secret
from buildkit.errors import UsageError
from buildkit.ops.grants import Grants
from buildkit.progress.escape import visible
from buildkit.records.store import KEPT_ALL
from buildkit.verify import Verified, candidates, sample, verify
from buildkit.worker import Worker


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--sample", default="10", metavar="PERCENT", help="how many steps (10)")
    add("--seed", type=int, metavar="N", help="choose the same steps again")
    add("--secret", action="append", default=[], metavar="id=ID[,src=FILE|,env=NAME]")
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Verify; print a line a step."""
    percent = _percent(args.sample)
    grants = Grants(dict(split_secret(text) for text in args.secret), search=False)
    done: list[Verified] = []
    with cancellable(), open_root(args) as root, Worker(root) as worker:
        if root.tmp_if_writable() is None:
            raise UsageError(
                "steps cannot be run again: the state root is on a read-only file system",
                hint="a copy of it, with --root or PYBUILD_ROOT, can be verified",
            )
        found = candidates(worker.records.recent(KEPT_ALL), worker)
        for build, position in sample(found, percent, args.seed):
            one = verify(build, position, worker, grants)
            done.append(one)
            if args.format == "text":
                sys.stdout.write(_line(one))
                sys.stdout.flush()
    wrong = sum(one.verdict in ("differs", "failed") for one in done)
    if args.format == "json":
        print_json([{**one._asdict(), "step": one.step.name, "key": one.step.key} for one in done])
    else:
        ran = sum(one.verdict != "skipped" for one in done)
        sys.stdout.write(f"{ran} of {len(found)} results verified, {wrong} are not as they were\n")
    return 1 if wrong else 0


def _line(one: Verified) -> str:
    reasons = f": {', '.join(one.reasons)}" if one.reasons else ""
    return f"{one.verdict.upper():<8} {visible(one.step.name)}{visible(reasons)}\n"


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"--sample {text}: not a percentage", hint="as in 10 or 2.5%")
    return percent
