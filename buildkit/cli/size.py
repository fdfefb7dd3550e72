"""`pybuild size`: what the layers of an image hold, and what of it is waste."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_for, image_platform_of
from buildkit.cli.listing import print_json, print_table, short_id
from buildkit.cli.options import open_root
from buildkit.errors import UsageError
from buildkit.images import ImageStore
from buildkit.inventory.advice import Advice, advice
from buildkit.inventory.stack import Stacked, need_trees, stacked
from buildkit.inventory.waste import Inventory, inventory
from buildkit.oci.digest import Digest
from buildkit.progress.escape import visible
from buildkit.sizes import size_text


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-n", "--top", type=int, default=10, metavar="N", help="lines of each list (10); 0: all")
    add("--platform", default="", metavar="OS/ARCH", help="which image of an index")
    add("--format", choices=("text", "json"), default="text", help="how to print")
    add("image", metavar="IMAGE", help="a name or an ID")


def command(args: Namespace) -> int:
    """Print the lists; 0 also when there is waste."""
    if args.top < 0:
        raise UsageError("--top must not be negative")
    with open_root(args) as root:
        found = image_for(ImageStore(root), args.image, image_platform_of(args.platform))
        layers = stacked(root, found.config)
        need_trees(root, layers)
        held = inventory(layers)
    lines = advice(held, layers)
    top = args.top or sys.maxsize
    if args.format == "json":
        print_json(_document(found.config_digest, layers, held, lines, top))
        return 0
    _print(found.config_digest, layers, held, lines, top)
    return 0


def _print(
    image: Digest, layers: Sequence[Stacked], held: Inventory, lines: Sequence[Advice], top: int
) -> None:
    whole = sum(layer.size for layer in layers)
    sys.stdout.write(
        f"Image {short_id(image)}: {len(layers)} layers of {size_text(whole)}, "
        f"files of {size_text(held.seen)} show\n\n"
    )
    print_table(
        ["LAYER", "SIZE", "COMPRESSED", "FILES", "MADE BY"],
        [
            [
                str(layer.number),
                size_text(layer.size),
                "-" if layer.compressed is None else size_text(layer.compressed),
                str(held.counts.get(layer.number, 0)),
                layer.made_by[:60],
            ]
            for layer in layers
        ],
    )
    sys.stdout.write("\nBiggest files\n")
    print_table(
        ["SIZE", "LAYER", "PATH"],
        [[size_text(one.size), str(one.layer), f"/{one.path}"] for one in held.biggest[:top]],
    )
    saved = sum(line.saved for line in lines)
    sys.stdout.write(f"\nCould be saved: {size_text(saved)}\n")
    for line in lines[:top]:
        sys.stdout.write(f"{size_text(line.saved):>7}  {visible(line.text)}\n")
    if len(lines) > top:
        rest = sum(line.saved for line in lines[top:])
        sys.stdout.write(f"{size_text(rest):>7}  in {len(lines) - top} more places (--top 0)\n")


def _document(
    image: Digest, layers: Sequence[Stacked], held: Inventory, lines: Sequence[Advice], top: int
) -> dict[str, object]:
    return {
        "Id": image,
        "Size": sum(layer.size for layer in layers),
        "FilesSize": held.seen,
        "Layers": [
            {
                "Number": layer.number,
                "Layer": layer.diff_id,
                "CreatedBy": layer.made_by,
                "Size": layer.size,
                "CompressedSize": layer.compressed,
                "Files": held.counts.get(layer.number, 0),
            }
            for layer in layers
        ],
        "BiggestFiles": [
            {"Path": f"/{one.path}", "Layer": one.layer, "Size": one.size}
            for one in held.biggest[:top]
        ],
        "Hidden": [
            {
                "Path": f"/{one.file.path}",
                "Layer": one.file.layer,
                "By": one.by,
                "Why": one.fate,
                "Size": one.file.size,
            }
            for one in held.lost[:top]
        ],
        "HiddenSize": sum(one.file.size for one in held.lost),
        "Caches": [
            {
                "Path": one.cache.directory,
                "Of": one.cache.owner,
                "Layer": one.layer,
                "Size": one.size,
                "Files": one.files,
            }
            for one in held.leftovers
        ],
        "Copies": [
            {"Size": one.size, "Paths": [f"/{file.path}" for file in one.files]}
            for one in held.copies[:top]
        ],
        "Advice": [line._asdict() for line in lines],
    }
