"""`pybuild start`: containers that have ended, or never began, run (again)."""

from __future__ import annotations

import os
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import found, names_argument, opened
from buildkit.cli.options import state_path, switch
from buildkit.cli.report import describe
from buildkit.cli.running import attended
from buildkit.containers.start import start
from buildkit.errors import UsageError
from buildkit.snapshot.overlay import OverlayStore
from runtime import foreground, starting
from runtime.foreground import Manner


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-a", "--attach", action="store_true", help="stay with it, and end as it does")
    add("-i", "--interactive", action="store_true", help="pass standard input on")
    add("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS")
    switch(parser, "--sig-proxy", default=True, help="pass signals on to its program")
    names_argument(parser)


def command(args: Namespace) -> int:
    """Start each; print its name, or stay with it."""
    attached = args.attach or args.interactive
    if attached and len(args.containers) != 1:
        raise UsageError("--attach is for one container")
    if attached:
        return _attached(args)
    status = 0
    for text in args.containers or [""]:
        # Whoever has started one monitor can start no other process.
        pid = os.fork()
        if pid == 0:
            os._exit(_start(args, text))
        status = max(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return status


def _start(args: Namespace, text: str) -> int:
    try:
        with opened(args, shared=True, beside=_others(args, text)) as (root, containers):
            one = next(found(containers, [text] if text else []))
            started = start(root, OverlayStore(root), one, attached=False)
            starting.running(started.connection)
    except Exception as error:  # noqa: BLE001 - told as everywhere, from a process of its own
        _code, message = describe(error)
        sys.stderr.write(message)
        sys.stderr.flush()
        return 1
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return 0


def _others(args: Namespace, text: str) -> tuple[str, ...]:
    """Return with whom a container shares namespaces, which an ordinary user has to know first."""
    from runtime import rootless

    if not rootless.is_needed():
        return ()
    from runtime import beside  # for ordinary users only

    return beside.shared_by(f"{state_path(args.root)}/containers", text)


def _attached(args: Namespace) -> int:
    beside = _others(args, args.containers[0])
    with opened(args, shared=True, beside=beside) as (root, containers):
        one = next(found(containers, args.containers))
        if one.record.terminal and args.interactive and not os.isatty(0):
            raise UsageError("the input device is not a terminal", hint="leave -i out")
        started = start(root, OverlayStore(root), one, attached=True)
        manner = Manner(
            tty=one.record.terminal,
            stdin=args.interactive,
            keys=foreground.parse_keys(args.detach_keys),
            signals=args.sig_proxy,
        )
        return attended(started, manner)
