"""`pybuild run`: an image in a new container.

Exit status: that of the command; 125 when pybuild could not do it, 126 when the command cannot be
executed, 127 when it is not there, 128+n when signal n ended it. Imports neither lark nor
networkx nor tqdm.
"""

from __future__ import annotations

from buildkit.cli import run_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace, Parser


def add_arguments(parser: Parser) -> None:
    """Declare the options of `run`; names and meaning are docker's."""
    parser.usage = "pybuild run [OPTIONS] IMAGE [COMMAND...]"
    run_flags.add_arguments(parser)


def command(args: Namespace) -> int:
    """Run the container; return its exit status."""
    from runtime import early  # before what takes its time to be imported

    waiting = None if args.detach else early.fork()
    try:
        from buildkit.cli import running  # while the other process imports, too

        return running.run(args, waiting)
    finally:
        if waiting is not None:
            waiting.discard()
