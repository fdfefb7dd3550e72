"""`pybuild save`: images into an archive that docker, podman, skopeo and umoci read."""

from __future__ import annotations

from functools import partial

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_for, image_platform_of
from buildkit.cli.interrupts import cancellable
from buildkit.cli.options import open_root
from buildkit.errors import ImageError, UsageError
from buildkit.exporter.destination import STDOUT
from buildkit.images import ImageStore
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.exporter.oci import NamedImage

_FORMATS = ("docker-archive", "oci-archive", "oci-dir")


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-o", "--output", default=STDOUT, metavar="FILE", help="where to (standard output)")
    add("--format", choices=_FORMATS, default=_FORMATS[0], help="what to write")
    add("--platform", default="", metavar="OS/ARCH", help="only this image of an index")
    add("--compress", action="store_true", help="compress the layers of a docker archive, too")
    add("-q", "--quiet", action="store_true", help="accepted: nothing is printed anyway")
    add(
        "-m", "--multi-image-archive", action="store_true", help="accepted: any number may be named"
    )
    add("images", nargs="+", metavar="IMAGE", help="a name or an ID")


def command(args: Namespace) -> int:
    """Write the archive."""
    if args.format == "oci-dir" and args.output == STDOUT:
        raise UsageError("a directory does not go to standard output", hint="name one with -o")
    with cancellable(), open_root(args) as root:
        # What follows imports compression libraries; only commands that move layers need them.
        from buildkit.content.local import LocalBlobStore
        from buildkit.exporter.attached import artifacts_of
        from buildkit.exporter.docker import write_docker
        from buildkit.exporter.forms import Forms
        from buildkit.exporter.index import stored_index
        from buildkit.exporter.layout import open_layout
        from buildkit.exporter.oci import write_oci
        from buildkit.snapshot.compression import compressor
        from buildkit.snapshot.overlay import OverlayStore

        blobs = LocalBlobStore(root)
        forms = Forms(root, OverlayStore(root), blobs)
        store = ImageStore(root)
        platform = image_platform_of(args.platform)
        texts, indexes = args.images, []
        if args.format != "docker-archive" and platform is None:
            texts, listed = _apart(store, args.images)
            indexes = [
                stored_index(digest, names, store, blobs, forms, compressor("gzip"))
                for digest, names in listed.items()
            ]
        images = _found(store, texts, platform)
        with open_layout(args.output, as_tar=args.format != "oci-dir") as layout:
            if args.format == "docker-archive":
                write_docker(layout, images, forms, compressor("gzip" if args.compress else "none"))
            else:
                attached = partial(artifacts_of, root, blobs)
                how = compressor("gzip")
                write_oci(layout, images, forms, blobs, how, attached=attached, indexes=indexes)
    return 0


def _apart(
    store: ImageStore, texts: list[str]
) -> tuple[list[str], dict[Digest, tuple[Reference, ...]]]:
    """Return what means an image, and the indexes with the names by which they were asked for."""
    images: list[str] = []
    indexes: dict[Digest, tuple[Reference, ...]] = {}
    for text in texts:
        digest = store.identify(text)
        if not store.is_index(digest):
            images.append(text)
            continue
        name = _name(store.reference(text), text)
        names = (*indexes.get(digest, ()), *(() if name is None else (name,)))
        indexes[digest] = tuple(dict.fromkeys(names))
    return images, indexes


def _found(store: ImageStore, texts: list[str], platform: Platform | None) -> list[NamedImage]:
    """Return the images with the names by which they were asked for; none for an ID."""
    from buildkit.exporter.oci import NamedImage

    found: dict[Digest, NamedImage] = {}
    for text in texts:
        image = image_for(store, text, platform)
        digest = image.config_digest
        known = found.get(digest) or NamedImage(
            config=image.config,
            data=store.config_blob(digest),
            digest=digest,
            manifest=store.manifest(digest),
        )
        name = _name(image.reference, text)
        names = known.names if name is None else tuple(dict.fromkeys((*known.names, name)))
        found[digest] = known._replace(names=names)
    return list(found.values())


def _name(reference: str, text: str) -> Reference | None:
    """Return the name under which the image is saved, None when it was found by ID or digest."""
    if reference.startswith("sha256:"):
        return None
    try:
        name = Reference.parse(reference)
        return name._replace(digest=None) if name.tag else None
    except ValueError as error:
        raise ImageError(f"image {text} has an impossible name: {error}") from error
