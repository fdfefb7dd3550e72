"""`pybuild build`: a Dockerfile becomes an image.

Exit status: 0; 1 a step or the build failed; 2 the command line or the Dockerfile is at fault; 4
the image is there and an output could not be written; 128+n when signal n ended it. The image's
ID (its config digest, of several platforms that of the index) goes to standard output with
`--quiet`, progress to standard error.
"""

from __future__ import annotations

import sys

from buildkit.build import BuildResult, build
from buildkit.cli.interrupts import cancelling
from buildkit.cli.options import open_root
from buildkit.cli.request import add_call_options, add_context, add_options, notes_of, request_of
from buildkit.exporter.attributes import STDOUT
from buildkit.progress.events import Warned
from buildkit.progress.table import display_for
from buildkit.upkeep import keep_up
from buildkit.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace, Parser
    from buildkit.request import BuildRequest


def add_arguments(parser: Parser) -> None:
    """Declare the arguments of `build`; names and meaning are docker's."""
    add_options(parser)
    add_call_options(parser)
    add_context(parser, "[build]")


def command(args: Namespace) -> int:
    """Build; return the exit status."""
    request = request_of(args)
    if args.call != "build" or args.fix or args.format:
        from buildkit.cli.answer import answer  # the rules and more: not for a build

        return answer(request, args)
    with cancelling() as cancel, open_root(args) as root, Worker(root) as worker:
        display = display_for("quiet" if args.quiet else args.progress)
        with display:
            for note in notes_of(args):
                display.emit(Warned(note))
            result = build(request, worker, display.emit, cancel)
            keep_up(root, display.emit, grown=result.grown)
    _write_results(args, request, result)
    if args.quiet:
        # Behind an archive the ID would be junk at its end.
        archived = any(output.dest == STDOUT for output in request.outputs)
        (sys.stderr if archived else sys.stdout).write(f"{result.digest}\n")
    return 0


def _write_results(args: Namespace, request: BuildRequest, result: BuildResult) -> None:
    if not args.iidfile and not args.metadata_file:
        return
    from buildkit.exporter.destination import write_result  # for these options only

    if args.iidfile:
        write_result(args.iidfile, result.digest)
    if args.metadata_file:
        from buildkit.cli.metadata import metadata  # for this option only

        write_result(args.metadata_file, metadata(request, result))
