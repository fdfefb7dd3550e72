"""`pybuild start`: containers that have ended, or never began, run (again)."""

from __future__ import annotations

import os

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.attending import attended
from buildkit.cli.containers import found, in_processes, names_argument, opened
from buildkit.cli.options import state_path, switch
from buildkit.containers.start import expect_to_run, start
from buildkit.errors import UsageError
from buildkit.snapshot.overlay import OverlayStore
from runtime import foreground
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
    if not args.containers:
        raise UsageError("name a container", hint="'pybuild ps -a' lists them")
    return in_processes(args.containers, lambda text: _start(args, text))


def _start(args: Namespace, text: str) -> None:
    with opened(args, shared=True, beside=_others(args, text)) as (root, containers):
        one = containers.find(text)
        started = start(root, OverlayStore(root), one, attached=False)
        expect_to_run(started)


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
