"""`pybuild wait`: until containers have ended, or are as they shall be; prints their exit codes."""

from __future__ import annotations

import re
import sys
import time

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import found, names_argument, opened
from buildkit.containers.ending import wait
from buildkit.containers.store import Container, not_running
from buildkit.errors import UsageError
from runtime.container import State

_STATES = ("created", "running", "paused", "exited", "stopped")
_HEALTHS = ("healthy", "unhealthy")
_ENDED = frozenset({"exited", "stopped"})
_UNITS = {"": 0.001, "ms": 0.001, "s": 1.0, "m": 60.0}


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "--condition",
        action="append",
        choices=(*_STATES, *_HEALTHS),
        help="what to wait for, any of several (exited)",
    )
    add(
        *("-i", "--interval"),
        default="250ms",
        metavar="TIME",
        help="between two looks where nothing tells, as 500 (ms) or 2s (250ms)",
    )
    names_argument(parser)


def command(args: Namespace) -> int:
    """Wait for each in turn; print the exit code of each, -1 where it has none yet."""
    conditions = frozenset(args.condition or ("exited",))
    interval = _seconds(args.interval)
    with opened(args) as (_root, containers):
        for one in found(containers, args.containers):
            if conditions <= _ENDED or (len(conditions) == 1 and conditions <= {*_HEALTHS}):
                code = _told(one, min(conditions))
            else:
                code = _looked(one, conditions, interval)
            sys.stdout.write(f"{code}\n")
            sys.stdout.flush()
    return 0


def _told(one: Container, condition: str) -> int:
    """Wait for what a container's monitor tells of."""
    health = condition if condition in _HEALTHS else ""
    code = wait(one, health)
    if not health:
        return code
    try:
        state = one.state
    except FileNotFoundError:  # removed at its end
        state = State()
    else:
        if state.status == "created":
            raise not_running(one)
    if state.health != health:
        raise UsageError(f"container {one.record.name} has ended before it was {health}")
    return code


def _looked(one: Container, conditions: frozenset[str], interval: float) -> int:
    """Look again and again until one of the conditions holds."""
    while True:
        try:
            state = one.state
        except OSError:
            if conditions & _ENDED:
                return 0  # removed at its end
            raise UsageError(f"container {one.record.name} has been removed") from None
        has_ended = state.status == "exited"
        if state.status in conditions or state.health in conditions:
            return state.code if has_ended else -1
        if has_ended and conditions & _ENDED:
            return state.code
        time.sleep(interval)


def _seconds(text: str) -> float:
    """Return what `--interval` says; a number alone is milliseconds, as with podman."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|)", text)
    if match is None or not float(match[1]):
        raise UsageError(f"invalid --interval {text!r}", hint="as in 250ms or 2s")
    return float(match[1]) * _UNITS[match[2]]
