"""`pybuild doctor`: what this kernel and this user can do, and why not.

Exit status 0 when images can be built and run here, 1 when not. Nothing is changed but for a
directory that comes and goes, and no state root is made.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json
from buildkit.cli.options import state_path
from buildkit.progress.escape import visible
from buildkit.sizes import size_text
from buildkit.state.root import FORMAT
from runtime import probe
from runtime.probe import Feature

_NEEDED = frozenset({"state root", "kernel", "own namespaces", "overlay", "own /proc"})
"""Without one of these nothing is built."""

_PROGRAMS = (
    ("mmdebstrap", "'pybuild base debian' needs it, or debootstrap"),
    ("debootstrap", "'pybuild base debian' needs it, or mmdebstrap"),
    ("busybox", "'pybuild base host' puts it into images"),
    ("git", "ADD and contexts from git repositories need it"),
)
_LIBRARIES = (
    ("isal", "gzip is written eight times as fast with it: pip install isal"),
    ("zstandard", "zstd needs it: pip install zstandard"),
)


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print")


def command(args: Namespace) -> int:
    """Try everything and print what came of it."""
    features = [*probe.features(), *_state(state_path(args.root)), *_programs()]
    lacking = [feature.name for feature in features if not feature.works]
    unfit = bool(_NEEDED.intersection(lacking))
    if args.format == "json":
        print_json([{**f._asdict(), "needed": f.name in _NEEDED} for f in features])
        return int(unfit)
    width = max(len(feature.name) for feature in features)
    for feature in features:
        _print(feature, width)
    verdict = "nothing can be built here" if unfit else "images can be built and run here"
    sys.stdout.write(f"\n{verdict}\n")
    return int(unfit)


def _print(feature: Feature, width: int) -> None:
    word = "ok" if feature.works else "NO" if feature.name in _NEEDED else "no"
    told = visible(feature.detail if feature.works else feature.reason)
    sys.stdout.write(f"{word:<3} {feature.name:<{width}}  {told}".rstrip() + "\n")
    if feature.hint and not feature.works:
        sys.stdout.write(f"{'':<{width + 6}}hint: {visible(feature.hint)}\n")


def _state(path: str) -> Iterator[Feature]:
    """Yield what there is to say of the state root, which may not exist yet."""
    place = path
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    root = _root(path, place)
    yield root
    if root.works:
        yield probe.upper_at(place)
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize
    yield Feature(
        "free space",
        works=free > 1 << 30 and (space.f_favail > 10_000 or not space.f_files),
        reason=f"{size_text(free)} and {space.f_favail} files",
        hint="'pybuild prune' makes room",
        detail=size_text(free),
    )


def _root(path: str, place: str) -> Feature:
    """Return how it is with the root at `path`; `place` is the part of the path that exists."""
    try:
        with open(os.path.join(path, "format"), encoding="ascii", errors="replace") as file:
            found = file.read(100)
    except OSError:
        found = ""
    hint = "name another place with --root or PYBUILD_ROOT"
    if found and found != FORMAT:
        return Feature("state root", works=False, reason=f"{path} has another format", hint=hint)
    if not os.access(place, os.W_OK | os.X_OK):
        reason = f"{place} is not writable by this user"
        return Feature("state root", works=False, reason=reason, hint=hint)
    return Feature("state root", works=True, detail=path if found else f"{path}, not made yet")


def _programs() -> Iterator[Feature]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for name, use in _PROGRAMS:
        found = shutil.which(name, path=path)
        yield Feature(name, found is not None, "not installed", use, found or "")
    for name, use in _LIBRARIES:
        there = importlib.util.find_spec(name) is not None
        yield Feature(name, there, "not installed", use)
