"""`pybuild load`: images out of an archive, from docker, podman, skopeo or pybuild."""

from __future__ import annotations

import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_platform_of
from buildkit.cli.interrupts import cancellable
from buildkit.cli.options import open_root
from buildkit.images import ImageStore


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-i", "--input", default="-", metavar="FILE", help="archive or layout (standard input)")
    add("--platform", default="", metavar="OS/ARCH", help="of an index this image alone (all)")
    add("-q", "--quiet", action="store_true", help="print nothing")


def command(args: Namespace) -> int:
    """Take the images; each name, or the ID of an image without one, is printed."""
    with cancellable(), open_root(args) as root:
        # What follows imports compression libraries; only commands that move layers need them.
        from buildkit.archive.load import load
        from buildkit.archive.members import open_members
        from buildkit.archive.statements import statements_in
        from buildkit.archive.take import Taker
        from buildkit.attestation.kept import keep
        from buildkit.content.local import LocalBlobStore
        from buildkit.exporter.forms import Forms
        from buildkit.snapshot.overlay import OverlayStore

        snapshots = OverlayStore(root)
        blobs = LocalBlobStore(root)
        taker = Taker(snapshots, blobs, Forms(root, snapshots, blobs))
        store = ImageStore(root)
        with open_members(args.input, root) as members:
            images = load(members, taker, image_platform_of(args.platform))
            parts = [part for image in images for part in image.parts]
            came = tuple(statements_in(members, [*images, *parts]))
        lines = []
        for image in images:
            for part in image.parts:
                store.add(part.data, manifest=part.manifest)
            digest = image.digest
            if image.parts:
                digest = store.add_index(image.index_blob, image.names)
            else:
                store.add(image.data, image.names, manifest=image.manifest)
            lines += [f"Loaded image: {name.familiar}\n" for name in image.names]
            if not image.names:
                lines.append(f"Loaded image ID: {digest}\n")
        for one in came:
            keep(root, blobs, one.image, one.kind, one.statement)
    if not args.quiet:
        sys.stdout.writelines(lines)
    return 0
