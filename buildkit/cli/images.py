"""`pybuild images`: what is in the local store."""

from __future__ import annotations

import fnmatch
import sys
import time
from collections.abc import Iterable, Iterator

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import age_text, print_json, print_table, short_id
from buildkit.cli.options import open_root
from buildkit.errors import UsageError
from buildkit.image_list import ListedImage, listed
from buildkit.images import ImageStore
from buildkit.oci.reference import Reference
from buildkit.sizes import size_text

_NONE = "<none>"
_HEADS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}
"""docker's fields of a template, and what it calls their columns."""
_FILTERS = ("dangling", "reference", "label", "before", "since")


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="print IDs only")
    add("-a", "--all", action="store_true", help="also images that are listed as part of an index")
    add("--no-trunc", action="store_true", help="print IDs in full")
    add("--digests", action="store_true", help="print the manifest's digest, where there is one")
    add("--format", default="table", metavar="TEMPLATE", help="json, or as '{{.Repository}}'")
    add("--filter", "-f", action="append", default=[], metavar="KEY=VALUE", help=str(_FILTERS))
    add("name", nargs="?", default="", metavar="NAME", help="only images with this name")


def command(args: Namespace) -> int:
    """Print the images; 0 also when there are none."""
    with open_root(args) as root:
        store = ImageStore(root)
        found = list(_filtered(listed(store), args.filter, store))
    shown_images = [image for image in found if args.all or not image.within]
    rows = [row for image in shown_images for row in _rows(image) if _fits(row[0], args.name)]
    if args.format == "json":
        shown = {image.digest: image for _, _, image in rows}
        print_json([_document(image) for image in shown.values()])
        return 0
    if args.quiet:
        for digest in dict.fromkeys(image.digest for _, _, image in rows):
            sys.stdout.write(f"{digest if args.no_trunc else short_id(digest)}\n")
        return 0
    if args.format != "table":
        from buildkit.cli.template import print_rows  # for templates only

        fields = [_fields(name, image, whole=args.no_trunc) for _, name, image in rows]
        print_rows(args.format, fields, _HEADS)
        return 0
    _print(rows, digests=args.digests, whole=args.no_trunc)
    return 0


def _print(rows: list[tuple[str, str, ListedImage]], *, digests: bool, whole: bool) -> None:
    keys = ("Repository", "Tag", *(("Digest",) if digests else ()), "ID", "CreatedSince", "Size")
    found = [_fields(name, image, whole=whole) for _, name, image in rows]
    print_table([_HEADS[key] for key in keys], [[row[key] for key in keys] for row in found])


def _fields(name: str, image: ListedImage, *, whole: bool) -> dict[str, str]:
    """Return a line of the table by docker's names."""
    repository, tag = _split(name)
    return {
        "ID": image.digest if whole else short_id(image.digest),
        "Repository": repository,
        "Tag": tag,
        "Digest": image.manifest or _NONE,
        "CreatedSince": age_text(image.config.created, time.time()),
        "CreatedAt": image.config.created or "N/A",
        "Size": size_text(image.size),
    }


def _rows(image: ListedImage) -> Iterator[tuple[str, str, ListedImage]]:
    """Yield canonical name, shown name and image, once for each name."""
    for name in image.names:
        yield name, Reference.parse(name).familiar, image
    if not image.names:
        yield "", "", image


def _split(name: str) -> tuple[str, str]:
    if not name:
        return _NONE, _NONE
    repository, _, tag = name.rpartition(":")
    return repository, tag


def _fits(canonical: str, wanted: str) -> bool:
    """Whether a name is the wanted one; without a tag in it, of the wanted repository."""
    if not wanted:
        return True
    if not canonical:
        return False
    try:
        reference = Reference.parse(wanted)
    except ValueError as error:
        raise UsageError(str(error)) from error
    found = Reference.parse(canonical)
    has_tag = ":" in wanted.rpartition("/")[2]
    return found.repository == reference.repository and (not has_tag or found.tag == reference.tag)


def _filtered(
    images: Iterable[ListedImage], filters: Iterable[str], store: ImageStore
) -> Iterator[ListedImage]:
    wanted = [_parsed(text) for text in filters]
    limits = {
        (key, value): _added(images := list(images), store, value)
        for key, value in wanted
        if key in ("before", "since")
    }
    for image in images:
        if all(_passes(image, key, value, limits.get((key, value), 0.0)) for key, value in wanted):
            yield image


def _parsed(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if key not in _FILTERS or not equals:
        raise UsageError(f"not a filter: {text!r}", hint=f"KEY=VALUE with {', '.join(_FILTERS)}")
    if key == "dangling" and value not in ("true", "false"):
        raise UsageError(f"dangling is true or false, not {value!r}")
    return key, value


def _added(images: list[ListedImage], store: ImageStore, name: str) -> float:
    digest = store.identify(name)
    return next((image.added for image in images if image.digest == digest), 0.0)


def _passes(image: ListedImage, key: str, value: str, limit: float) -> bool:
    match key:
        case "dangling":
            return (not image.names) == (value == "true")
        case "reference":
            familiar = [Reference.parse(name).familiar for name in image.names]
            return any(_matches(name, value) for name in (*image.names, *familiar))
        case "label":
            label, equals, content = value.partition("=")
            labels = dict(image.config.config.labels)
            return label in labels and (not equals or labels[label] == content)
        case "before":
            return image.added < limit
        case _:
            return image.added > limit


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(
        name.rpartition(":")[0], pattern
    )


def _document(image: ListedImage) -> dict[str, object]:
    document: dict[str, object] = {
        "Id": image.digest,
        "RepoTags": [Reference.parse(name).familiar for name in image.names],
        "Digest": image.manifest or "",
        "Created": image.config.created,
        "Size": image.size,
        "Architecture": image.config.platform.architecture,
        "Os": image.config.platform.os,
        "Labels": dict(image.config.config.labels),
    }
    if image.platforms:
        document["Platforms"] = list(image.platforms)
    return document
