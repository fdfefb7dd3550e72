"""`pybuild cp`: files into a container or out of it, whether it runs or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import opened
from buildkit.cli.interrupts import cancellable
from buildkit.containers import copying, files
from buildkit.containers.store import Container, ContainerStore
from buildkit.errors import UsageError
from buildkit.exporter.destination import check_open
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.usage = (
        "pybuild cp [OPTIONS] CONTAINER:PATH PATH|-\n"
        "       pybuild cp [OPTIONS] PATH|- CONTAINER:PATH"
    )
    add("-a", "--archive", action="store_true", help="keep owners (as root, into a container)")
    add("-L", "--follow-link", action="store_true", help="copy what a link leads to")
    add("-q", "--quiet", action="store_true", help="accepted")
    add("source", metavar="SOURCE")
    add("target", metavar="TARGET")


def command(args: Namespace) -> int:
    """Copy."""
    if not args.source or not args.target:
        raise UsageError("neither path may be empty", hint="'.' is the working directory")
    with cancellable(), opened(args) as (root, containers):
        outward, inward = _split(containers, args.source), _split(containers, args.target)
        if outward is not None and inward is not None:
            raise UsageError(
                "nothing is copied from container to container", hint="copy it here in between"
            )
        if outward is None and inward is None:
            raise UsageError(
                "one of the two must be in a container", hint="as in pybuild cp app:/etc/hosts ."
            )
        if outward is not None:
            _out(root, outward, args)
        elif inward is not None:
            _in(root, inward, args)
    return 0


def _split(containers: ContainerStore, text: str) -> tuple[Container, str] | None:
    """Return container and path; None for a path of the host."""
    name, colon, path = text.partition(":")
    if not colon or not name or "/" in name or name.startswith("."):
        return None
    return containers.find(name), path or "/"


def _out(root: StateRoot, source: tuple[Container, str], args: Namespace) -> None:
    one, path = source
    with files.root_of(OverlayStore(root), one, writable=False) as tree:
        if args.target == "-":
            if sys.stdout.isatty():
                raise UsageError("a tar is not for a terminal", hint="redirect it, or name a path")
            check_open()
            write = sys.stdout.buffer.write
            inward = files.inward(one)
            copying.archive(tree, path, write, follow=args.follow_link, owned=inward)
            return
        with _here() as here:
            copying.copy(
                copying.Place(tree, path),
                copying.Place(here, _absolute(args.target)),
                root.tmp(),
                follow=args.follow_link,
                owner=(os.geteuid(), os.getegid()),
            )


def _in(root: StateRoot, target: tuple[Container, str], args: Namespace) -> None:
    one, path = target
    with files.root_of(OverlayStore(root), one, writable=True) as tree:
        if args.source == "-":
            copying.unpack(copying.Place(tree, path), sys.stdin.buffer, files.outward(one))
            return
        with _here() as here:
            copying.copy(
                copying.Place(here, _absolute(args.source)),
                copying.Place(tree, path),
                root.tmp(),
                follow=args.follow_link,
                owner=None if args.archive else (0, 0),
                owned=files.outward(one),
            )


@contextmanager
def _here() -> Iterator[int]:
    """Give a descriptor of the caller's root directory."""
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _absolute(path: str) -> str:
    """Return the path from `/` on; a slash or `/.` at its end says something, so it stays."""
    absolute = os.path.abspath(path)
    ending = next((end for end in ("/.", "/") if path.endswith(end)), "")
    return absolute if path in (".", "/") else absolute + ending
