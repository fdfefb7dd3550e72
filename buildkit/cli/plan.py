"""`pybuild plan`: what a build would do, step by step. Takes the options of `build`.

Exit status: 0 nothing would run, 10 something would, else as `build`. Executes nothing.
"""

from __future__ import annotations

import sys

from buildkit.cli import request as build_request
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.durations import duration_text
from buildkit.plan import plan
from buildkit.progress.escape import visible
from buildkit.progress.table import display_for
from buildkit.solver.plan import Planned, needs_nothing, seconds_of
from buildkit.worker import Worker

SOMETHING_WOULD_RUN = 10


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `build`, and how to print."""
    build_request.add_options(parser)
    build_request.add_context(parser, "plan")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Print the plan."""
    request = build_request.request_of(args)
    mode = "quiet" if args.quiet else "plain"
    with open_root(args) as root, Worker(root) as worker, display_for(mode) as display:
        planned = plan(request, worker, display.emit)
    if args.format == "json":
        print_json(_document(planned))
    elif not args.quiet:
        sys.stdout.write(_text(planned))
    return 0 if needs_nothing(planned) else SOMETHING_WOULD_RUN


def _text(planned: tuple[Planned, ...]) -> str:
    lines = []
    for one in planned:
        lines.append(f"{one.verdict.upper():<5}  #{one.vertex.number} {one.vertex.label}")
        if one.why:
            lines.append(f"       why: {', '.join(one.why)}")
        if one.verdict != "hit" and one.seconds is not None:
            lines.append(f"       took {duration_text(one.seconds)} last time")
    lines += ["", _summary(planned)]
    return "".join(f"{visible(line)}\n" for line in lines)


def _summary(planned: tuple[Planned, ...]) -> str:
    misses, maybes = (
        sum(one.verdict == verdict for one in planned) for verdict in ("miss", "maybe")
    )
    if not misses and not maybes:
        return f"nothing to do: all {len(planned)} steps are in the cache"
    least = duration_text(seconds_of(planned, "miss"))
    most = duration_text(seconds_of(planned, "miss", "maybe"))
    text = f"{misses} of {len(planned)} steps would run, for about {least}"
    return f"{text}; {maybes} more may, {most} in all" if maybes else text


def _document(planned: tuple[Planned, ...]) -> dict[str, object]:
    return {
        "nothing_to_do": needs_nothing(planned),
        "seconds_at_least": seconds_of(planned, "miss"),
        "seconds_at_most": seconds_of(planned, "miss", "maybe"),
        "steps": [
            {
                "number": one.vertex.number,
                "name": one.vertex.label,
                "stage": one.vertex.stage,
                "verdict": one.verdict,
                "why": one.why,
                "seconds": one.seconds,
            }
            for one in planned
        ],
    }
