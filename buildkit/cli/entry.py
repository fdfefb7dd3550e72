"""The first lines of the program `pybuild`: what is installed under that name calls `entry`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums

# Until somebody is there to take it, an interrupt ends the program in the system's way and not with
# a traceback of the modules below; where it is ignored (nohup), it stays so.
_INTERRUPTED = _signal.getsignal(_signal.SIGINT)
if _INTERRUPTED is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os  # noqa: E402 - as said above
import sys  # noqa: E402

from buildkit.cli import bundle  # noqa: E402


def entry() -> None:
    """Run `pybuild` as `buildkit.cli.main` does, with its modules from a bundle."""
    status = 130
    try:
        kept = bundle.installed(sys.argv[1:])
        from buildkit.cli.main import program  # by way of the bundle

        if _INTERRUPTED is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _INTERRUPTED)
        status = program()
        if status == 0:
            _keep(kept)
    except KeyboardInterrupt:
        pass  # while it starts there is nothing to undo, and when it has ended nothing to do
    os._exit(status)


def _keep(kept: bundle.Bundle) -> None:
    try:
        kept.keep()
    except OSError:
        pass  # it saves time, and nothing else
