"""`pybuild port`: which ports of a container are published, and where."""

from __future__ import annotations

import sys

from buildkit.cli.containers import opened
from buildkit.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.cli.arguments import Namespace, Parser
    from runtime.container import Port


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("port", nargs="?", default="", metavar="PORT[/PROTO]")


def command(args: Namespace) -> int:
    """Print a line for each published port, or the place of one."""
    with opened(args) as (_root, containers):
        one = containers.find(args.container)
        ports = one.state.ports if one.state.pid else ()
    if not args.port:
        for port in ports:
            sys.stdout.write(f"{port.inside}/{port.protocol} -> {place(port)}\n")
        return 0
    number, _, protocol = args.port.partition("/")
    wanted = [p for p in ports if (str(p.inside), p.protocol) == (number, protocol or "tcp")]
    if not wanted:
        name = one.record.name
        raise UsageError(
            f"port {args.port} of container {name} is not published",
            hint=f"'pybuild port {name}' lists what is",
        )
    for port in wanted:
        sys.stdout.write(f"{place(port)}\n")
    return 0


def place(port: Port) -> str:
    """Return where a port is on the host."""
    address = port.address or "0.0.0.0"  # noqa: S104 - shown, not listened on
    return f"[{address}]:{port.outside}" if ":" in address else f"{address}:{port.outside}"
