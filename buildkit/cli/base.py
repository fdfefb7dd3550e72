"""`pybuild base`: base images where no registry is at hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancellable
from buildkit.cli.options import open_root
from buildkit.cli.tag import parse_name
from buildkit.cli.values import epoch_of
from buildkit.errors import UsageError
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.escape import visible
from buildkit.state.root import StateRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.base.image import Made


def add_arguments(parser: Parser) -> None:
    """Declare the two kinds and their options."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND")
    host = kinds.add_parser(
        "host",
        help="programs of this machine with the libraries they need",
        description="Makes an image from programs of this machine with the libraries they need,"
        " and busybox where it is installed.",
        allow_abbrev=False,
    )
    _add_common(host)
    host.add_argument("programs", nargs="*", metavar="PROGRAM", help="a command, or a path")
    debian = kinds.add_parser(
        "debian",
        help="Debian by mmdebstrap or debootstrap",
        description="Makes a Debian image with mmdebstrap or debootstrap and this machine's own"
        " apt configuration.",
        allow_abbrev=False,
    )
    _add_common(debian)
    add = debian.add_argument
    add("--suite", default="", metavar="SUITE", help="release (this machine's)")
    add("--include", action="append", default=[], metavar="PKG,...", help="further packages")
    add("--mirror", action="append", default=[], metavar="URL", help="instead of the machine's own")


def _add_common(parser: Parser) -> None:
    add = parser.add_argument
    add("-t", "--tag", action="append", default=[], metavar="NAME", help="name of the image")
    add("-q", "--quiet", action="store_true", help="print the image's ID and nothing else")


def command(args: Namespace) -> int:
    """Make the image and print its names."""
    names = [parse_name(text) for text in args.tag]
    if not names:
        raise UsageError("an image needs a name", hint="give one with -t NAME")
    with cancellable():
        digest = _host(args, names) if args.kind == "host" else _debian(args, names)
    if args.quiet:
        sys.stdout.write(f"{digest}\n")
        return 0
    for name in names:
        sys.stdout.write(f"Made image: {name.familiar} ({digest})\n")
    return 0


def _host(args: Namespace, names: Sequence[Reference]) -> Digest:
    # Each kind imports what it needs, and after the namespaces are entered.
    from buildkit.base import host
    from buildkit.base.image import Made
    from buildkit.base.tree import lay

    epoch = epoch_of(None)
    base = host.plan(args.programs, os.environ.get("PATH", ""))
    for notice in base.notices:
        sys.stderr.write(f"WARNING: {visible(notice.program)}: {visible(notice.message)}\n")

    def fill(directory: str) -> Made:
        laid = lay(base.tree, directory, clamp=epoch)
        labels = host.labels(base, laid, args.programs)
        return Made(labels, laid.newest, ("sh",) if base.shell else None)

    with open_root(args) as root:
        return _made(root, fill, names, epoch)


def _debian(args: Namespace, names: Sequence[Reference]) -> Digest:
    from buildkit.base import debian
    from buildkit.base.image import Made

    epoch = epoch_of(None)
    packages = [name for text in args.include for name in text.replace(",", " ").split()]
    base = debian.plan(
        suite=args.suite, packages=packages, mirrors=args.mirror, privileged=os.getuid() == 0
    )

    def say(line: str) -> None:
        sys.stderr.write(f"{visible(line)}\n")
        sys.stderr.flush()

    with open_root(args) as root:

        def fill(directory: str) -> Made:
            newest = debian.make(base, directory, root.tmp(), None if args.quiet else say)
            return Made(debian.labels(base, directory), newest, ("bash",))

        return _made(root, fill, names, epoch)


def _made(
    root: StateRoot, fill: Callable[[str], Made], names: Sequence[Reference], epoch: int | None
) -> Digest:
    from buildkit.base.image import make_image
    from buildkit.images import ImageStore
    from buildkit.snapshot.overlay import OverlayStore

    return make_image(fill, names, OverlayStore(root), ImageStore(root), epoch=epoch)
