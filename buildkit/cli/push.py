"""`pybuild push`: an image of the store to a registry.

The digest it has there goes to standard output, progress to standard error. Exit status: 0; 1 it
could not be pushed; 2 the command line is at fault; 128+n when signal n ended it.
"""

from __future__ import annotations

import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_for, image_platform_of
from buildkit.cli.interrupts import cancelling
from buildkit.cli.options import open_root
from buildkit.errors import ImageError, UsageError
from buildkit.exporter.attributes import Output, parse_output
from buildkit.exporter.destination import write_result
from buildkit.image_list import listed
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit
from buildkit.progress.table import MODES, display_for
from buildkit.worker import Worker


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    from buildkit.cli.access import add_access  # the registry client: these commands alone

    add = parser.add_argument
    parser.usage = "pybuild push [OPTIONS] IMAGE [DESTINATION]"
    add("-q", "--quiet", action="store_true", help="print the digest and nothing else")
    add("--progress", default="", choices=("", *MODES), metavar="|".join(MODES))
    add("-a", "--all-tags", action="store_true", help="all that the store has of this name")
    add("--platform", default="", metavar="OS/ARCH", help="only this image of an index")
    add("--digestfile", metavar="FILE", help="write the manifest's digest to FILE")
    add("--format", "-f", choices=("oci", "docker", "v2s2"), help="of a new manifest (oci)")
    add("--compression-format", "--compression", default="gzip", metavar="gzip|zstd|uncompressed")
    add("--compression-level", metavar="N")
    add("--force-compression", action="store_true", help="also of layers from elsewhere")
    add_access(parser)
    add("image", metavar="IMAGE")
    add("destination", nargs="?", metavar="DESTINATION", help="a name to push as")


def command(args: Namespace) -> int:
    """Push; return the exit status."""
    if args.all_tags and (args.destination or args.digestfile):
        raise UsageError("--all-tags goes with neither a destination nor --digestfile")
    mode = "quiet" if args.quiet else args.progress or "auto"
    with (
        cancelling() as cancel,
        open_root(args) as root,
        Worker(root) as worker,
        display_for(mode) as display,
    ):
        lines = []
        for name in _names(args, worker):
            written = _pushed(args, name, worker, display.emit, cancel)
            lines.append(f"{written.digest}\n")
    sys.stdout.writelines(lines)
    if args.digestfile:
        write_result(args.digestfile, written.digest)
    return 0


def _names(args: Namespace, worker: Worker) -> list[str]:
    """Return what is to be pushed: the image, or all that its repository has in the store."""
    from buildkit.cli.access import repository_of

    if not args.all_tags:
        return [args.image]
    wanted = repository_of(args.image)
    found = [
        name
        for one in listed(worker.images)
        for name in one.names
        if Reference.parse(name).repository == wanted.repository
    ]
    if not found:
        raise ImageError(f"no image is called {args.image!r} in the local store, with any tag")
    return sorted(found)


def _pushed(args: Namespace, text: str, worker: Worker, emit: Emit, cancel: Cancel) -> Descriptor:
    from buildkit.cli.access import access_of, reference_of
    from buildkit.exporter.forms import Forms
    from buildkit.exporter.oci import NamedImage
    from buildkit.exporter.registry import Manner, push_image
    from buildkit.registry.client import Registry
    from buildkit.snapshot.compression import compressor

    output = _output(args)
    named = worker.images.identify(text)
    name = reference_of(args.destination or text)
    if args.destination is None and worker.images.names(named) == ():
        raise UsageError(f"{text} has no name", hint="name a destination, too")
    if worker.images.is_index(named) and not args.platform:
        return _pushed_index(args, named, name, worker, emit, cancel)
    found = image_for(worker.images, text, image_platform_of(args.platform))
    data = worker.images.config_blob(found.config_digest)
    image = NamedImage(
        found.config,
        data,
        found.config_digest,
        (name,),
        worker.images.manifest(found.config_digest),
    )
    manner = Manner(
        how=compressor(output.compression or "gzip", output.level),
        force=args.force_compression,
        docker=None if args.format is None else args.format != "oci",
        by_digest=not name.tag,
    )
    forms = Forms(worker.root, worker.snapshots, worker.blobs)
    with Registry(cancel, access_of(args), emit=emit) as registry:
        return push_image(registry, image, manner, worker.root, forms, worker.blobs, emit)


def _output(args: Namespace) -> Output:
    """Return what the options say of compression."""
    attributes = f"type=image,compression={args.compression_format}"
    if args.compression_level is not None:
        attributes += f",compression-level={args.compression_level}"
    return parse_output(attributes)


def _pushed_index(
    args: Namespace,
    digest: Digest,
    name: Reference,
    worker: Worker,
    emit: Emit,
    cancel: Cancel,
) -> Descriptor:
    """Push an index with all its images."""
    from buildkit.cli.access import access_of
    from buildkit.exporter.forms import Forms
    from buildkit.exporter.index import stored_index
    from buildkit.exporter.registry_index import push_index
    from buildkit.registry.client import Registry
    from buildkit.snapshot.compression import compressor

    if args.format is not None:
        raise UsageError(
            "an index is pushed with the manifests it has", hint="--format goes with --platform"
        )
    output = _output(args)
    forms = Forms(worker.root, worker.snapshots, worker.blobs)
    index = stored_index(
        digest,
        (name,),
        worker.images,
        worker.blobs,
        forms,
        compressor(output.compression or "gzip", output.level),
        force=args.force_compression,
    )
    with Registry(cancel, access_of(args), emit=emit) as registry:
        return push_index(
            registry, index, worker.root, forms, worker.blobs, emit, by_digest=not name.tag
        )
