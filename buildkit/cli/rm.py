"""`pybuild rm`: containers that have ended go, with what they wrote."""

from __future__ import annotations

from buildkit.cli.containers import for_each, is_running, names_argument, opened
from buildkit.cli.options import patience
from buildkit.containers.ending import remove
from buildkit.containers.volumes import VolumeStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace, Parser
    from buildkit.containers.store import Container


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="also those that run, and no error for unknown")
    add("-v", "--volumes", action="store_true", help="their anonymous volumes, too")
    add("-a", "--all", action="store_true", help="all that do not run; with --force all")
    add(
        "-t",
        "--time",
        type=patience,
        default=0.0,
        metavar="SECONDS",
        help="time to end by themselves",
    )
    add("-i", "--ignore", action="store_true", help="no error for unknown ones")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Remove each; print its name."""
    with opened(args) as (root, containers):
        volumes = VolumeStore(root) if args.volumes else None

        def act(one: Container) -> None:
            remove(containers, one, force=args.force, volumes=volumes, timeout=args.time)

        if args.containers and (args.force or args.ignore):
            args.containers = [text for text in args.containers if containers.means_any(text)]
            if not args.containers and not args.all:
                return 0
        return for_each(args, containers, act, wanted=lambda one: args.force or not is_running(one))
