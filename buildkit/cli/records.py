"""`pybuild records`: the builds that were, what became of their steps and why, and their logs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json, print_table
from buildkit.cli.options import open_root
from buildkit.durations import duration_text
from buildkit.errors import UsageError
from buildkit.progress.escape import visible
from buildkit.progress.output_text import output_line
from buildkit.records.naming import find_steps
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.records.store import KEPT_ALL, RecordStore
from buildkit.sizes import size_text

_CHUNK = 1 << 16
_WIDTH = 60


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.usage = "pybuild records ls | show [BUILD] | logs [--build BUILD] [STEP]"
    add = parser.add_argument
    add("action", choices=("ls", "show", "logs"), help="list builds, show one, print its logs")
    add("what", nargs="?", default="", metavar="BUILD|STEP", help="the last build; all its steps")
    add("--build", default="", metavar="BUILD", help="whose logs: an ID or its beginning")
    add("-n", "--last", type=int, default=20, metavar="N", help="how many builds to list")
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Do what was asked."""
    with open_root(args) as root:
        store = RecordStore(root)
        if args.action == "ls":
            _list(store.recent(min(args.last, KEPT_ALL)), as_json=args.format == "json")
        elif args.action == "show":
            _show(chosen(store, args.what or args.build), as_json=args.format == "json")
        else:
            _print_logs(store, chosen(store, args.build), args.what)
    return 0


def chosen(store: RecordStore, prefix: str) -> BuildRecord:
    """Return the build whose ID begins with `prefix`; without one, the last that had steps.

    Raises UsageError when there is none.
    """
    if prefix:
        found = store.get(prefix)
        if found is None:
            raise UsageError(
                f"no build has the ID {prefix}", hint="'pybuild records ls' lists them"
            )
        return found
    for build in store.recent():
        if build.steps:
            return build
    raise UsageError("there is no record of a build yet")


def steps_called(build: BuildRecord, text: str) -> list[StepRecord]:
    """Return the steps of `build` that `text` means. Raises UsageError when there are none."""
    found = find_steps(text, build.steps)
    if not found:
        raise UsageError(
            f"no step of build {build.id} is called {text!r}",
            hint="a step is named by its number (5), its line (line:7), or how it begins",
        )
    return found


def took(step: StepRecord) -> str:
    """Return what became of a step and how long it took, as people read it."""
    if step.outcome in ("run", "failed") or step.seconds:
        return f"{step.outcome} {step.seconds:.1f}s"
    return step.outcome


def _list(builds: list[BuildRecord], *, as_json: bool) -> None:
    if as_json:
        print_json([_summary(build) for build in builds])
        return
    now = time.time()
    print_table(
        ["BUILD", "STARTED", "TOOK", "OUTCOME", "STEPS", "IMAGE", "DOCKERFILE"],
        [
            [
                build.id,
                f"{duration_text(max(now - build.started, 0.0))} ago",
                f"{max(build.ended - build.started, 0.0):.1f}s",
                build.outcome,
                f"{len(_seen(build))} ({_cached(build)} cached)",
                build.image.removeprefix("sha256:")[:12],
                build.dockerfile + (f" {build.target}" if build.target else ""),
            ]
            for build in builds
        ],
    )


def _show(build: BuildRecord, *, as_json: bool) -> None:
    if as_json:
        steps = [{**step._asdict(), "usage": step.usage._asdict()} for step in build.steps]
        print_json({**build._asdict(), "steps": steps})
        return
    lines = [
        f"build {build.id}: {build.outcome} in {max(build.ended - build.started, 0.0):.1f}s",
        f"dockerfile {build.dockerfile}, context {build.context}, platform {build.platform}"
        + (f", target {build.target}" if build.target else ""),
    ]
    if build.image:
        lines.append(f"image {build.image}")
    if build.message:
        lines.append(build.message)
    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines) + "\n")
    print_table(
        ["#", "STEP", "OUTCOME", "CPU", "MEMORY", "WHY"],
        [
            [
                str(step.number),
                _cut(step.name),
                took(step),
                f"{step.usage.cpu:.1f}s" if step.usage.cpu else "",
                size_text(step.usage.memory) if step.usage.memory else "",
                ", ".join(step.why) or step.note or step.message,
            ]
            for step in _seen(build)
        ],
    )


def _cut(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _print_logs(store: RecordStore, build: BuildRecord, text: str) -> None:
    """Print the logs of the steps that `text` means, of all without one."""
    steps = steps_called(build, text) if text else _seen(build)
    for step in steps:
        if len(steps) > 1:
            if not step.log:
                continue
            sys.stdout.write(f"#{step.number} {visible(step.name)}\n")
        for line in _lines(store.log_path(step.log)) if step.log else ():
            sys.stdout.write(output_line(line, colours=True) + "\n")


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a log, nothing for one that is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with open(fd, "rb") as file:
        while line := file.readline(_CHUNK):
            yield line.rstrip(b"\n")


def _seen(build: BuildRecord) -> list[StepRecord]:
    """Return the steps that a user sees."""
    return [step for step in build.steps if step.number]


def _cached(build: BuildRecord) -> int:
    return sum(step.outcome == "cached" for step in _seen(build))


def _summary(build: BuildRecord) -> dict[str, object]:
    fields = build._asdict()
    fields["steps"] = len(_seen(build))
    fields["cached"] = _cached(build)
    return fields
