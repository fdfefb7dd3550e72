"""`pybuild rmi`: names away, and images that have none left.

Layers stay until `pybuild prune`: other images and the cache may have them too.
"""

import argparse
import sys

from buildkit.cli.options import open_root
from buildkit.cli.report import describe
from buildkit.errors import BuildError, ImageError, UsageError
from buildkit.images import ImageStore
from buildkit.oci.reference import Reference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="all names of an ID, and no error for unknown")
    add("-a", "--all", action="store_true", help="every image")
    add("images", nargs="*", metavar="IMAGE", help="a name or an ID")


def command(args: argparse.Namespace) -> int:
    """Remove the images; 1 when one of them could not be, after trying the others."""
    if bool(args.images) == args.all:
        raise UsageError("name images, or give --all", hint="'pybuild images' lists them")
    status = 0
    with open_root(args) as root:
        store = ImageStore(root)
        # What an index has goes with it.
        wanted = [one.digest for one in store.list() if not one.within] if args.all else args.images
        for text in wanted:
            try:
                _remove(store, text, force=args.force or args.all)
            except ImageError as error:
                if args.force and _is_unknown(store, text):
                    continue
                status, message = _told(error)
                sys.stderr.write(message)
    return status


def _remove(store: ImageStore, text: str, *, force: bool) -> None:
    removed = store.remove(text, force=force)
    for name in removed.names:
        sys.stdout.write(f"Untagged: {Reference.parse(name).familiar}\n")
    if removed.image is not None:
        sys.stdout.write(f"Deleted: {removed.image}\n")


def _is_unknown(store: ImageStore, text: str) -> bool:
    try:
        store.find(text)
    except ImageError:
        return True
    except BuildError:
        return False
    return False


def _told(error: BuildError) -> tuple[int, str]:
    return describe(error)
