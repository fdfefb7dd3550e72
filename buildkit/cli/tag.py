"""`pybuild tag`: one more name for an image."""

from __future__ import annotations

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.options import open_root
from buildkit.errors import UsageError
from buildkit.images import ImageStore
from buildkit.oci.reference import Reference, name_to_give


def add_arguments(parser: Parser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="IMAGE", help="a name or an ID")
    parser.add_argument("names", nargs="+", metavar="NAME", help="what it shall be called too")


def command(args: Namespace) -> int:
    """Give the image its names."""
    names = [parse_name(text) for text in args.names]
    with open_root(args) as root:
        store = ImageStore(root)
        image = store.identify(args.source)
        for name in names:
            store.tag(image, name)
    return 0


def parse_name(text: str) -> Reference:
    """Return `text` as a name to give. Raises UsageError."""
    try:
        name = name_to_give(text)
    except ValueError as error:
        raise UsageError(f"invalid name: {error}", hint="as in app or app:1.2") from error
    if name.digest is not None:
        raise UsageError(
            f"invalid name: {text!r} has a digest, which no image can be given",
            hint=f"leave @{name.digest} out",
        )
    return name
