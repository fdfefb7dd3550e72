"""`pybuild explain [STEP]`: why steps of the last build were not those of the build before.

Shows the whole difference between the key documents of the two, field by field and file by file;
what the build itself said is the short form of it.
"""

from __future__ import annotations

import sys
import time

from buildkit.cache.local import LocalCacheStore
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.cli.records import chosen, steps_called, took
from buildkit.durations import duration_text
from buildkit.progress.escape import visible
from buildkit.records.record import BuildRecord
from buildkit.records.store import RecordStore
from buildkit.solver.compare import Compared, compare


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("step", nargs="?", default="", metavar="STEP", help="its number, line:N, or how it begins")
    add("--build", default="", metavar="BUILD", help="this build instead of the last one")
    add("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Print the differences."""
    with open_root(args) as root:
        store = RecordStore(root)
        build = chosen(store, args.build)
        wanted = steps_called(build, args.step) if args.step else None
        before = [
            one
            for one in store.last(build.identity)
            if (one.started, one.id) < (build.started, build.id) and one.steps
        ]
        compared = compare(build, before, LocalCacheStore(root))
    if wanted is not None:
        numbers = {step.number for step in wanted}
        compared = tuple(one for one in compared if one.step.number in numbers)
    if args.format == "json":
        print_json(_document(build, before, compared))
    else:
        sys.stdout.write(_text(build, before, compared, whole=wanted is not None))
    return 0


def _text(
    build: BuildRecord, before: list[BuildRecord], compared: tuple[Compared, ...], *, whole: bool
) -> str:
    now = time.time()
    lines = [f"build {build.id}, {_ago(build, now)}, of {build.dockerfile}"]
    lines.append(
        f"beside build {before[0].id}, {_ago(before[0], now)}"
        if before
        else "the first of its kind"
    )
    alike = 0
    for one in compared:
        if not whole and one.same and one.step.outcome == "cached":
            alike += 1
            continue
        lines += ["", f"#{one.step.number} {one.step.name}: {took(one.step)}"]
        lines += _reasons(one)
    if alike:
        steps = "1 step is" if alike == 1 else f"{alike} steps are"
        found = "was" if alike == 1 else "were"
        lines += ["", f"{steps} as before, and {found} found in the cache"]
    return "".join(f"{visible(line)}\n" for line in lines)


def _reasons(one: Compared) -> list[str]:
    lines = [f"  why: {reason}" for reason in one.step.why]
    if one.earlier is None:
        return lines or ["  new: no build before had it"]
    if not one.step.key:
        return [*lines, "  it was not reached, so it has no key"]
    if one.same:
        return [*lines, "  its key is that of the build before"]
    if not one.known:
        return [*lines, "  a key document of the two is no longer in the store"]
    for place, old, new in one.differences:
        lines.append(f"  {place}")
        lines += [f"    - {old}"] if old is not None else []
        lines += [f"    + {new}"] if new is not None else []
    return lines


def _document(
    build: BuildRecord, before: list[BuildRecord], compared: tuple[Compared, ...]
) -> dict[str, object]:
    return {
        "build": build.id,
        "before": before[0].id if before else None,
        "steps": [
            {
                "number": one.step.number,
                "name": one.step.name,
                "outcome": one.step.outcome,
                "why": one.step.why,
                "key": one.step.key,
                "key_before": one.earlier.key if one.earlier else None,
                "known": one.known,
                "differences": [difference._asdict() for difference in one.differences],
            }
            for one in compared
        ],
    }


def _ago(build: BuildRecord, now: float) -> str:
    return f"{duration_text(int(max(now - build.started, 0.0)))} ago"
