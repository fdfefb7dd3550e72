"""`pybuild repro`: builds twice under varied conditions, and says what is different and why.

Takes the options of `build`. Exit status: 0 both builds gave the same image; 1 they did not, or a
build failed; else as `build`. Nothing of it stays.
"""

from __future__ import annotations

import sys

from buildkit.build import build
from buildkit.cli import request as build_request
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancelling
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.cli.report import describe
from buildkit.errors import Cancelled, UsageError
from buildkit.progress.escape import visible
from buildkit.progress.table import display_for
from buildkit.repro.apart import ApartError
from buildkit.repro.conditions import USUAL, WHAT
from buildkit.repro.differences import ConfigDifference, StepDifference, Told
from buildkit.repro.twice import Compared, build_twice
from buildkit.request import BuildRequest
from buildkit.state.root import StateRoot
from buildkit.worker import Worker


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `build`, and what varies."""
    build_request.add_options(parser)
    build_request.add_context(parser, "repro")
    add = parser.add_argument
    add("--format", choices=("text", "json"), default="text", help="how to print")
    add("--vary", metavar="NAME,...", help=f"{', '.join(WHAT)} (all but modes), or none")


def command(args: Namespace) -> int:
    """Build twice and print what differs."""
    request = build_request.request_of(args)
    if request.outputs or request.cache_to or request.attest:
        raise UsageError("repro keeps nothing and writes no outputs", hint="'pybuild build' does")
    if request.platforms:
        raise UsageError("repro builds for one platform at a time", hint="name one of them")
    varied = _varied(args.vary)
    mode = "quiet" if args.quiet else args.progress

    def build_it(request: BuildRequest, root: StateRoot) -> str:
        with cancelling() as cancel, Worker(root) as worker, display_for(mode) as display:
            return build(request, worker, display.emit, cancel).record

    try:
        with (
            cancelling() as cancel,
            open_root(args) as root,
            Worker(root) as worker,
            display_for("quiet" if args.quiet else "plain") as display,
        ):
            found = build_twice(request, varied, worker, build_it, _tell, display.emit, cancel)
    except ApartError as error:
        return error.status
    if args.format == "json":
        print_json(_document(found, varied))
    else:
        sys.stdout.write("".join(f"{visible(line)}\n" for line in _text(found)))
    return 0 if found.reproducible else 1


def _tell(error: BaseException) -> int:
    status, text = describe(error)
    if not isinstance(error, Cancelled):  # the command itself says that
        sys.stderr.write(text)
    sys.stderr.flush()
    return status


def _varied(text: str | None) -> frozenset[str]:
    if text is None:
        return USUAL
    names = frozenset(name for name in text.split(",") if name not in ("", "none"))
    for name in sorted(names - set(WHAT)):
        raise UsageError(f"--vary {name}: there is no such condition", hint=", ".join(WHAT))
    return names


def _text(found: Compared) -> list[str]:
    first, second = found.images
    lines = []
    for step in found.steps:
        lines += _step(step)
    for one in found.config:
        lines += [f"config: {one.path}: {one.first} / {one.second}", *_why(one)]
    if found.reproducible:
        if found.steps:
            lines.append("what differs is not in the image")
        return [*lines, f"REPRODUCIBLE: both builds gave {first}"]
    lines.append(f"NOT REPRODUCIBLE: {first} / {second}")
    origin = _first(found)
    if origin is not None:
        step, told = origin
        lines.append(
            f"first to differ: /{told.path} ({', '.join(told.kinds)}) in"
            f" #{step.step.number}{_place(step)}: {told.cause}"
        )
    return lines


def _first(found: Compared) -> tuple[StepDifference, Told] | None:
    """Return the first file of the first step that differs, None when no file does."""
    return next(((step, step.told[0]) for step in found.steps if step.told), None)


def _place(found: StepDifference) -> str:
    return f" (line {found.step.lines[0]})" if found.step.lines else ""


def _step(found: StepDifference) -> list[str]:
    step = found.step
    after = ", ".join(f"#{number}" for number in dict.fromkeys(found.follows))
    follows = f", made from {after}, which differs" if after else ""
    lines = [f"#{step.number} {step.name}{_place(found)}{follows}"]
    lines.append(f"  layers {found.layers[0]} / {found.layers[1]}")
    told = ""
    for one in found.told:
        detail = f": {one.detail}" if one.detail else ""
        lines.append(f"  /{one.path}: {', '.join(one.kinds)}{detail}")
        # One cause has often many files.
        lines += _why(one, "    ") if one.cause != told else ["    cause: the same"]
        told = one.cause
    if not found.files:
        lines.append("  no file differs: what the layers delete, or their roots")
    elif found.files > len(found.told):
        lines.append(
            f"  and {found.files - len(found.told)} more; of {found.files} files"
            f" {found.times} differ by their times alone"
        )
    return lines


def _why(one: Told | ConfigDifference, indent: str = "  ") -> list[str]:
    lines = [f"{indent}cause: {one.cause}"]
    return [*lines, f"{indent}advice: {one.advice}"] if one.advice else lines


def _document(found: Compared, varied: frozenset[str]) -> dict[str, object]:
    origin = _first(found)
    return {
        "reproducible": found.reproducible,
        "images": found.images,
        "first": None if origin is None else {"step": origin[0].step.number, **origin[1]._asdict()},
        "source_date_epoch": found.epoch,
        "varied": sorted(varied),
        "steps": [
            {
                "number": one.step.number,
                "name": one.step.name,
                "stage": one.step.stage,
                "lines": one.step.lines,
                "layers": one.layers,
                "follows": one.follows,
                "files": one.files,
                "times_alone": one.times,
                "differences": [told._asdict() for told in one.told],
            }
            for one in found.steps
        ],
        "config": [one._asdict() for one in found.config],
    }
