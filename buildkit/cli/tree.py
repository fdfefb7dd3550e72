"""`pybuild tree`: the layers of an image, with their names, or the images made from it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_for, image_platform_of
from buildkit.cli.listing import print_json, short_id
from buildkit.cli.options import open_root
from buildkit.image_list import ListedImage, listed
from buildkit.images import ImageStore
from buildkit.inventory.stack import Stacked, stacked
from buildkit.oci.config import ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.progress.escape import visible
from buildkit.sizes import size_text


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--whatrequires", action="store_true", help="show the images that are made from this one")
    add("--no-trunc", action="store_true", help="print IDs and instructions in full")
    add("--platform", default="", metavar="OS/ARCH", help="which image of an index")
    add("--format", choices=("text", "json"), default="text", help="how to print")
    add("image", metavar="IMAGE", help="a name or an ID")


def command(args: Namespace) -> int:
    """Print the tree, the bottom-most layer first."""
    with open_root(args) as root:
        store = ImageStore(root)
        found = image_for(store, args.image, image_platform_of(args.platform))
        layers = stacked(root, found.config)
        images = list(listed(store))
        names = _familiar(store.names(found.config_digest))
    if args.whatrequires:
        return _requiring(found, images, args)
    tops = {image.config.diff_ids: list[str]() for image in images}
    for image in images:
        tops[image.config.diff_ids] += _familiar(image.names)
    if args.format == "json":
        print_json(_document(found, names, layers, tops))
        return 0
    lines = [
        _line(layer, tops.get(found.config.diff_ids[: layer.number], []), whole=args.no_trunc)
        for layer in layers
    ]
    _print(found.config_digest, names, sum(layer.size for layer in layers), "Image Layers", lines)
    return 0


def _line(layer: Stacked, names: Sequence[str], *, whole: bool) -> str:
    identity = layer.diff_id if whole else short_id(layer.diff_id)
    made_by = layer.made_by if whole or len(layer.made_by) <= 60 else f"{layer.made_by[:57]}..."
    top = f" Top Layer of: [{', '.join(names)}]" if names else ""
    return f"ID: {identity} Size: {size_text(layer.size):>6}{top}  {made_by}".rstrip()


def _print(image: Digest, names: Sequence[str], size: int, head: str, lines: Sequence[str]) -> None:
    sys.stdout.write(f"Image ID: {short_id(image)}\n")
    sys.stdout.write(f"Tags:     [{', '.join(names)}]\nSize:     {size_text(size)}\n{head}\n")
    for number, line in enumerate(lines, 1):
        branch = "└──" if number == len(lines) else "├──"
        sys.stdout.write(f"{branch} {visible(line)}\n")


def _requiring(found: ResolvedImage, images: Iterable[ListedImage], args: Namespace) -> int:
    """Print the images whose layers begin with all those of `found`."""
    others = list(_made_from(found, images))
    if args.format == "json":
        print_json(
            [
                {"Id": one.digest, "RepoTags": _familiar(one.names), "Size": one.size}
                for one in others
            ]
        )
        return 0
    lines = [
        f"ID: {one.digest if args.no_trunc else short_id(one.digest)} "
        f"Size: {size_text(one.size):>6} [{', '.join(_familiar(one.names))}]"
        for one in others
    ]
    sys.stdout.write(f"Image ID: {short_id(found.config_digest)}\n")
    sys.stdout.writelines(
        f"{'└──' if one is lines[-1] else '├──'} {visible(one)}\n" for one in lines
    )
    return 0


def _made_from(found: ResolvedImage, images: Iterable[ListedImage]) -> Iterator[ListedImage]:
    wanted = found.config.diff_ids
    for image in images:
        inherits = len(image.config.diff_ids) > len(wanted)
        if inherits and image.config.diff_ids[: len(wanted)] == wanted:
            yield image


def _familiar(names: Iterable[str]) -> list[str]:
    return [Reference.parse(name).familiar for name in names]


def _document(
    found: ResolvedImage,
    names: Sequence[str],
    layers: Sequence[Stacked],
    tops: dict[tuple[Digest, ...], list[str]],
) -> dict[str, object]:
    return {
        "Id": found.config_digest,
        "RepoTags": list(names),
        "Size": sum(layer.size for layer in layers),
        "Layers": [
            {
                "Layer": layer.diff_id,
                "Size": layer.size,
                "CreatedBy": layer.made_by,
                "TopLayerOf": tops.get(found.config.diff_ids[: layer.number], []),
            }
            for layer in layers
        ],
    }
