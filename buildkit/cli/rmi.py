"""`pybuild rmi`: names away, and images that have none left.

Layers stay until `pybuild prune`: other images and the cache may have them too. An image that a
container uses stays unless it is forced, as with docker; the container has its layers in any case.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.containers import is_running
from buildkit.cli.options import open_root
from buildkit.cli.report import describe
from buildkit.containers.store import Container, ContainerStore
from buildkit.errors import BuildError, ImageError, UsageError
from buildkit.image_list import listed
from buildkit.images import ImageStore
from buildkit.oci.reference import Reference


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        *("-f", "--force"),
        action="store_true",
        help="all names of an ID, also of an image that a container uses; no error for unknown",
    )
    add("-a", "--all", action="store_true", help="every image")
    add("images", nargs="*", metavar="IMAGE", help="a name or an ID")


def command(args: Namespace) -> int:
    """Remove the images; 1 when one of them could not be, after trying the others."""
    if bool(args.images) == args.all:
        raise UsageError("name images, or give --all", hint="'pybuild images' lists them")
    status = 0
    with open_root(args) as root:
        store = ImageStore(root)
        containers = () if args.force else tuple(ContainerStore(root).all())
        # What an index has goes with it.
        wanted = (
            [one.digest for one in listed(store) if not one.within] if args.all else args.images
        )
        for text in wanted:
            try:
                _check_unused(store, text, containers)
                _remove(store, text, force=args.force or args.all)
            except ImageError as error:
                if args.force and _is_unknown(store, text):
                    continue
                status, message = describe(error)
                sys.stderr.write(message)
    return status


def _remove(store: ImageStore, text: str, *, force: bool) -> None:
    removed = store.remove(text, force=force)
    for name in removed.names:
        sys.stdout.write(f"Untagged: {Reference.parse(name).familiar}\n")
    if removed.image is not None:
        sys.stdout.write(f"Deleted: {removed.image}\n")


def _check_unused(store: ImageStore, text: str, containers: Sequence[Container]) -> None:
    """Refuse to remove an image, or an index with one, that a container uses. Raises ImageError.

    A name that is not its last one may go.
    """
    if not containers:
        return
    image = store.identify(text)
    name = store.reference(text)
    if set(store.names(image)) - {name} and "@" not in name and name != image:
        return
    parts = [part.image for part in store.parts(image)] if store.is_index(image) else [image]
    for one in containers:
        used = (one.record.config, *(mount.config for mount in one.record.images))
        if not set(used).isdisjoint(parts):
            how = "running " if is_running(one) else ""
            raise ImageError(
                f"image {text} is being used by {how}container {one.record.name} ({one.short})",
                hint=f"'pybuild rm {one.record.name}' first, or use -f",
            )


def _is_unknown(store: ImageStore, text: str) -> bool:
    try:
        store.find(text)
    except ImageError:
        return True
    except BuildError:
        return False
    return False
