"""`pybuild exec`: a further program in a container that runs.

Exit status as with `run`: that of the program; 125, 126, 127 and 128+n likewise.
"""

from __future__ import annotations

import os

from buildkit.cli.arguments import REMAINDER, Namespace, Parser
from buildkit.cli.attending import tell
from buildkit.cli.containers import opened
from buildkit.containers.flags import parse_env
from buildkit.errors import UsageError
from runtime import container, foreground
from runtime.container import Exec
from runtime.control import Connection
from runtime.foreground import Manner
from runtime.terminal import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Process


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.usage = "pybuild exec [OPTIONS] CONTAINER COMMAND..."
    add("-d", "--detach", action="store_true", help="do not wait for it")
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]")
    add("--env-file", action="append", default=[], metavar="FILE")
    add("-i", "--interactive", action="store_true", help="pass standard input on")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    add("-u", "--user", default="", metavar="NAME|UID[:GROUP|GID]")
    add("-w", "--workdir", default="", metavar="DIR")
    add("--privileged", action="store_true", help="all capabilities, no filter")
    add("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS")
    add("container", metavar="CONTAINER")
    add("command", nargs=REMAINDER, metavar="COMMAND")


def command(args: Namespace) -> int:
    """Run the program; return its exit status."""
    if args.tty and args.interactive and not args.detach and not os.isatty(0):
        raise UsageError("the input device is not a terminal", hint="leave -t out")
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise UsageError("no command", hint="give one after the container's name")
    with opened(args) as (_root, containers):
        one = containers.find(args.container)
        status = one.state.status
        if status != "running":
            again = "unpause" if status == "paused" else "start"
            raise UsageError(
                f"container {one.record.name} is {status}, not running",
                hint=f"pybuild {again} {one.record.name}",
            )
        process = container.read_task(one.directory).spec.process
    wanted = Exec(_process(args, process, tuple(words)), privileged=args.privileged)
    connection = Connection.to(one.directory)
    if args.detach:
        foreground.execute_detached(connection, wanted)
        return 0
    keys = foreground.parse_keys(args.detach_keys)
    manner = Manner(tty=args.tty, stdin=args.interactive, keys=keys)
    ended = foreground.execute(connection, wanted, manner)
    if ended is None:
        return 0
    tell(ended)
    return ended.code


def _process(args: Namespace, own: Process, words: tuple[str, ...]) -> Process:
    """Return the program: in the environment of the container's own, but for what is asked for."""
    env = dict(own.env)
    if args.tty:
        env["TERM"] = "xterm"
    env.update(parse_env(args.env, args.env_file))
    return own._replace(
        args=words,
        env=tuple(env.items()),
        cwd=args.workdir if args.workdir.startswith("/") else os.path.join(own.cwd, args.workdir),
        user=args.user or own.user,
        terminal=args.tty and not args.detach,
        terminal_size=size() if args.tty else own.terminal_size,
    )
