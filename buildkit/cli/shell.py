"""`pybuild shell [STEP]`: a shell in a step of the last build, failed or cached.

What is shown: the file system before or after the step, with its environment, user, working
directory and mounts. Changes are thrown away. Exit status: that of the shell.
"""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import REMAINDER, Namespace, Parser
from buildkit.cli.options import open_root
from buildkit.cli.records import chosen, steps_called
from buildkit.cli.values import split_secret
from buildkit.errors import UsageError
from buildkit.ops.grants import Grants
from buildkit.past_step import past_step
from buildkit.progress.escape import visible
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.shell import Side, Visit, missing_grants, side_of, visit
from buildkit.worker import Worker
from runtime.typed import get_args


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.usage = "pybuild shell [OPTIONS] STEP | --failed [COMMAND...]"
    add = parser.add_argument
    add("--failed", action="store_true", help="the step that failed")
    for side in get_args(Side):
        add(
            f"--{side}",
            dest="side",
            action="store_const",
            const=side,
            help=f"as things were {side} it"
            + (" (of a failed step: its command runs again first)" if side == "after" else ""),
        )
    add("--build", default="", metavar="BUILD", help="of this build instead of the last one")
    add("--secret", action="append", default=[], metavar="id=ID[,src=FILE|,env=NAME]")
    add("step", nargs="?", default="", metavar="STEP", help="its number, line:N, or how it begins")
    add("command", nargs=REMAINDER, metavar="COMMAND", help="instead of a shell")


def command(args: Namespace) -> int:
    """Open the shell; return its exit status."""
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if args.failed and args.step:  # that is the first word of the command
        args.step, words = "", [args.step, *words]
    secrets = dict(split_secret(text) for text in args.secret)
    with open_root(args) as root, Worker(root) as worker:
        build = chosen(worker.records, args.build)
        step = _step(build, args.step, failed=args.failed)
        past = past_step(build, step, worker)
        grants = Grants(secrets)
        side = args.side or side_of(past)
        _tell(step, side, missing_grants(past.op, grants))
        wish = Visit(side, tuple(words), tty=os.isatty(0) and os.isatty(1), interactive=True)
        status = visit(build, past, wish, worker, grants)
    if status.reason and (not status.started or status.oom):
        sys.stderr.write(f"pybuild: {visible(status.reason)}\n")
    return status.code


def _step(build: BuildRecord, text: str, *, failed: bool) -> StepRecord:
    """Return the step that is meant: the one that failed, if none is named."""
    if not failed and not text:
        raise UsageError("which step?", hint="name it, as #5 or line:7, or --failed")
    if text:
        found = steps_called(build, text)
        if len(found) > 1:
            names = ", ".join(f"#{step.number} {step.name}" for step in found)
            raise UsageError(f"{text!r} means several steps: {names}", hint="name one by its #N")
        return found[0]
    for step in build.steps:
        if step.outcome == "failed":
            return step
    raise UsageError(f"no step of build {build.id} failed", hint="name a step, as #5 or line:7")


def _tell(step: StepRecord, side: Side, missing: list[str]) -> None:
    """Say where the user is, on standard error."""
    lines = [f"{side} step #{step.number} {step.name}"]
    if missing:
        lines.append(f"without what {', '.join(missing)} gives")
    sys.stderr.write("".join(f"pybuild: {visible(line)}\n" for line in lines))
