"""How a command takes part in a container: `run`, `start`, `attach` and `exec`.

In: parsed arguments, a connection to the monitor. Out: an exit status.
"""

from __future__ import annotations

import sys

from buildkit.errors import UsageError
from runtime import foreground
from runtime.foreground import Manner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace
    from buildkit.containers.start import Started
    from runtime.spec import ExitStatus


def attended(started: Started, manner: Manner) -> int:
    """Stay with a container in the foreground; return the exit status of the command."""
    status = foreground.stay(started.connection, manner)
    if status is None:
        return 0
    tell(status)
    return status.code


def tell(status: ExitStatus) -> None:
    """Say why a command ended, where its exit status does not."""
    if status.reason:
        sys.stderr.write(f"pybuild: {status.reason}\n")


def manner_of(args: Namespace) -> Manner:
    """Return how a command takes part in its container."""
    streams = {"stdout": 1, "stderr": 2}
    wanted = [text.lower() for text in args.attach]
    if any(text not in ("stdin", *streams) for text in wanted):
        raise UsageError("--attach takes stdin, stdout or stderr")
    return Manner(
        tty=args.tty,
        stdin=args.interactive,
        keys=foreground.parse_keys(args.detach_keys),
        signals=args.sig_proxy,
        streams=tuple(number for name, number in streams.items() if not wanted or name in wanted),
    )
