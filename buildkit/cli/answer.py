"""`pybuild build --call=METHOD`: what the command METHOD answers.

In: what is asked for. Out: the answer on standard output, and its exit status.
"""

from __future__ import annotations

from buildkit.cli.arguments import Namespace
from buildkit.cli.call import call_of
from buildkit.request import BuildRequest


def answer(request: BuildRequest, args: Namespace) -> int:
    """Print the answer that `args` call for; return the exit status. Raises UsageError."""
    call = call_of(args)
    match call.method:
        case "check":
            from buildkit.cli import check  # the rules: for this method only

            return check.run(request, args, call)
        case "outline":
            from buildkit.cli import outline  # for this one

            return outline.run(request, args, call)
        case _:
            from buildkit.cli import targets  # for this one

            return targets.run(request, args, call)
