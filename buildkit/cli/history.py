"""`pybuild history`: how an image was made, the newest line first."""

from __future__ import annotations

import sys
import time

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_for, image_platform_of, layer_sizes
from buildkit.cli.listing import age_text, print_json, print_table, short_id
from buildkit.cli.options import open_root, switch
from buildkit.images import ImageStore
from buildkit.oci.config import History
from buildkit.sizes import size_text

_HEADS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
"""docker's fields of a template, and what it calls their columns."""
_WIDTH = 45
_MISSING = "<missing>"


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--no-trunc", action="store_true", help="print everything in full")
    add("-q", "--quiet", action="store_true", help="print IDs only")
    switch(parser, "-H", "--human", default=True, help="sizes and ages for people")
    add("--format", default="table", metavar="TEMPLATE", help="json, or as '{{.CreatedBy}}'")
    add(
        "--platform", default="", metavar="OS/ARCH", help="which image of an index (this machine's)"
    )
    add("image", metavar="IMAGE", help="a name or an ID")


def command(args: Namespace) -> int:
    """Print the history."""
    with open_root(args) as root:
        found = image_for(ImageStore(root), args.image, image_platform_of(args.platform))
        sizes = layer_sizes(root, found.config.diff_ids)
    layers = iter(found.config.diff_ids)
    lines = []
    for item in found.config.history:
        diff_id = None if item.empty_layer else next(layers, None)
        lines.append((item, diff_id, 0 if diff_id is None else sizes[diff_id]))
    lines.reverse()
    if args.format == "json":
        print_json([_document(item, diff_id, size) for item, diff_id, size in lines])
        return 0
    whole = found.config_digest if args.no_trunc else short_id(found.config_digest)
    identities = [whole, *(_MISSING,) * (len(lines) - 1)]
    if args.quiet:
        sys.stdout.writelines(f"{identity}\n" for identity in identities[: len(lines)])
        return 0
    now = time.time()
    rows = [
        {
            "ID": identity,
            "CreatedSince": age_text(item.created, now) if args.human else item.created or "N/A",
            "CreatedAt": item.created or "N/A",
            "CreatedBy": _cut(item.created_by, whole=args.no_trunc),
            "Size": size_text(size) if args.human else str(size),
            "Comment": item.comment,
        }
        for identity, (item, _, size) in zip(identities, lines, strict=False)
    ]
    if args.format != "table":
        from buildkit.cli.template import print_rows  # for templates only

        print_rows(args.format, rows, _HEADS)
        return 0
    keys = [key for key in _HEADS if key != "CreatedAt"]
    print_table([_HEADS[key] for key in keys], [[row[key] for key in keys] for row in rows])
    return 0


def _cut(text: str, *, whole: bool) -> str:
    line = " ".join(text.split())
    return line if whole or len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _document(item: History, diff_id: str | None, size: int) -> dict[str, object]:
    return {
        "Created": item.created,
        "CreatedBy": item.created_by,
        "Comment": item.comment,
        "Author": item.author,
        "EmptyLayer": item.empty_layer,
        "Layer": diff_id,
        "Size": size,
    }
