"""`pybuild container`: what is done to containers that are not named one by one.

docker's other second words (`container ls`, `container rm`) are commands of their own here, which
`buildkit.cli.main` finds.
"""

from __future__ import annotations

import sys

from buildkit.cli import moments
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import is_running, opened
from buildkit.cli.listing import seconds_of
from buildkit.containers.ending import remove
from buildkit.containers.filters import Filter, matches
from buildkit.containers.store import Container
from buildkit.containers.volumes import VolumeStore
from buildkit.errors import UsageError
from buildkit.sizes import size_text
from buildkit.snapshot.disk import tree_size
from runtime.container import State


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    from buildkit.cli.main import TWO_WORDS  # which imports this module

    others = ", ".join(sorted(TWO_WORDS["container"].keys() - {"prune"}))
    parser.summary += f"; container {others} are commands of their own: 'pybuild rm --help'"
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    prune = actions.add_parser("prune", help="remove all containers that do not run")
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    prune.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="until=TIME|label=NAME[=VALUE]",
        help="only those made before, as 24h or a date; only those with a label",
    )


def command(args: Namespace) -> int:
    """Remove what does not run; print the IDs and what was gained."""
    oldest, labels = _filters(args.filter)
    if not args.force:
        raise UsageError("this removes what containers have written", hint="add --force")
    gained = 0
    with opened(args) as (root, containers):
        for one in list(containers.all()):
            # Labels do not change with its state.
            if is_running(one) or not matches(one, State(), labels) or _is_young(one, oldest):
                continue
            size = tree_size(f"{one.directory}/layer")
            try:
                # What was to go by itself takes its volumes with it.
                remove(containers, one, volumes=VolumeStore(root) if one.record.remove else None)
            except UsageError:  # somebody has just started it
                continue
            gained += size
            sys.stdout.write(f"{one.record.identity}\n")
    sys.stdout.write(f"Total reclaimed space: {size_text(gained)}\n")
    return 0


def _filters(texts: list[str]) -> tuple[float | None, tuple[Filter, ...]]:
    """Return since when a container may be kept, and what labels it must have."""
    oldest, labels = None, []
    for text in texts:
        key, _equals, value = text.partition("=")
        if key == "until" and value:
            oldest = moments.seconds_of(value)
        elif key == "label" and value:
            labels.append(Filter(key, value))
        else:
            raise UsageError(f"unknown filter {text!r}", hint="known are until=TIME, label=NAME")
    return oldest, tuple(labels)


def _is_young(one: Container, oldest: float | None) -> bool:
    made = seconds_of(one.record.created)
    return oldest is not None and (made is None or made > oldest)
