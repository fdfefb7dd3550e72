"""`pybuild index`: indexes of images for several platforms, made of what is there, and shown.

The digest of a new index goes to standard output, progress to standard error. Names and meaning are
those of `docker buildx imagetools`, but that the index is made in the local store and goes to a
registry with --push. Exit status: 0; 1 something could not be had or pushed; 2 the command line is
at fault; 128+n when signal n ended it.
"""

from __future__ import annotations

import json
import sys

from buildkit.archive.combine import Combiner, Source, combined, replacing, top_of
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.interrupts import cancelling
from buildkit.cli.options import open_root
from buildkit.cli.tag import parse_name
from buildkit.cli.template import render
from buildkit.cli.values import platforms_of
from buildkit.errors import ImageError, UsageError
from buildkit.exporter.annotations import Annotation, parse_annotation
from buildkit.exporter.forms import Forms
from buildkit.exporter.index import add_index
from buildkit.exporter.oci import NamedIndex
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import Fields
from buildkit.oci.index import Index
from buildkit.oci.media_types import INDEXES
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.escape import visible
from buildkit.progress.events import Emit, Note
from buildkit.progress.table import display_for
from buildkit.registry.client import Registry
from buildkit.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    from buildkit.cli.access import add_access

    commands = parser.add_subparsers(dest="action", metavar="ACTION")
    create = commands.add_parser("create", help="make an index of images, and print its digest")
    add = create.add_argument
    add("-t", "--tag", action="append", default=[], metavar="NAME", help="name of the index")
    add("--append", action="store_true", help="add to the index that has the name already")
    add("--annotation", action="append", default=[], metavar="[TYPE:]NAME=VALUE")
    add("-p", "--platform", action="append", default=[], metavar="OS/ARCH,…", help="these alone")
    add("-f", "--file", action="append", default=[], metavar="FILE", help="a source's descriptor")
    add("--dry-run", action="store_true", help="print the index, and keep nothing")
    add("--push", action="store_true", help="push it under its names")
    add("-q", "--quiet", action="store_true", help="print the digest and nothing else")
    add_access(create)
    add("sources", nargs="*", metavar="SOURCE", help="an image or index, here or at a registry")
    inspect = commands.add_parser("inspect", help="show what an index has")
    inspect.add_argument("--raw", action="store_true", help="the document as it is")
    inspect.add_argument("--format", default="", metavar="TEMPLATE", help="'{{json .Manifest}}'")
    add_access(inspect)
    inspect.add_argument("name", metavar="NAME", help="an index, here or at a registry")


def command(args: Namespace) -> int:
    """Do what the action says."""
    from buildkit.cli.access import access_of

    quiet = args.action == "inspect" or args.quiet
    with (
        cancelling() as cancel,
        open_root(args) as root,
        Worker(root) as worker,
        Registry(cancel, access_of(args)) as registry,
        display_for("quiet" if quiet else "plain") as display,
    ):
        if args.action == "inspect":
            text = _shown(args, worker, registry)
        else:
            text = _created(args, worker, registry, display.emit, cancel)
    sys.stdout.write(text)
    return 0


def _created(
    args: Namespace, worker: Worker, registry: Registry, emit: Emit, cancel: Cancel
) -> str:
    names = [parse_name(text) for text in args.tag]
    if not names and not args.dry_run:
        raise UsageError("an index without a name", hint="give it one with -t, or add --dry-run")
    if not args.sources and not args.file:
        raise UsageError("an index of nothing", hint="name images, or a descriptor with -f")
    annotated = [one for text in args.annotation for one in _annotation(text)]
    platforms = platforms_of(args.platform)
    combiner = Combiner(worker, registry, emit)
    found = [one for text in args.sources for one in combiner.sources(text)]
    found += [one for path in args.file for one in _from_file(path, names, combiner)]
    base = None
    if args.append:
        if len(names) != 1:
            raise UsageError("--append is for one index", hint="name it with -t")
        base = Index.parse(_document(str(names[0]), worker, registry)[1])
        found = list(replacing(combiner.sources(str(names[0])), found))
    index = combined(found, names, annotated, platforms, base)
    if args.dry_run:
        return f"{json.dumps(json.loads(index.data), indent=2)}\n"
    cancel.check()
    add_index(index, worker.images, worker.blobs)
    for name in names:
        emit(Note(f"named {name.familiar}"))
    if args.push:
        _push(index, worker, registry, emit)
    return f"{index.written.digest}\n"


def _push(index: NamedIndex, worker: Worker, registry: Registry, emit: Emit) -> None:
    from buildkit.exporter.registry_index import push_index  # for this option only

    forms = Forms(worker.root, worker.snapshots, worker.blobs)
    push_index(registry, index, worker.root, forms, worker.blobs, emit)


def _annotation(text: str) -> tuple[Annotation, ...]:
    """Parse `--annotation`: without a type it is the index's; manifests are made already."""
    found = parse_annotation(text)
    if not any(text.startswith(word) for word in ("manifest:", "manifest[", "manifest,")):
        found = tuple(
            one._replace(kind="index") if one.kind == "manifest" else one for one in found
        )
    for one in found:
        if one.kind not in ("index", "manifest-descriptor"):
            raise UsageError(
                f"--annotation {text}: a {one.kind} cannot be changed here",
                hint="index and manifest-descriptor can have annotations",
            )
    return found


def _from_file(path: str, names: list[Reference], combiner: Combiner) -> tuple[Source, ...]:
    """Return the image that a descriptor in a file means: in the store, or beside the name."""
    try:
        with open(path, "rb") as file:
            entry = Descriptor.of(Fields.parse(file.read(1 << 20), path))
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if not names:
        raise UsageError(f"{path}: without -t there is no repository to look in")
    text = str(names[0]._replace(tag="", digest=entry.digest))
    return tuple(
        one._replace(
            entry=one.entry._replace(
                platform=entry.platform or one.entry.platform,
                annotations=(*one.entry.annotations, *entry.annotations),
            )
        )
        for one in combiner.sources(text)
    )


def _document(text: str, worker: Worker, registry: Registry) -> tuple[str, bytes]:
    """Return media type and bytes of the index or manifest that `text` means, here or there."""
    try:
        digest = worker.images.identify(text)
    except ImageError:
        try:
            reference = Reference.parse(text)
        except ValueError as error:
            raise UsageError(str(error)) from error
        top = top_of(registry, reference)
        return top.descriptor.media_type, top.data
    if not worker.images.is_index(digest):
        raise ImageError(f"{text} is an image and no index", hint=f"pybuild inspect {text}")
    data = worker.blobs.read(digest)
    return Index.parse(data).media_type, data


def _shown(args: Namespace, worker: Worker, registry: Registry) -> str:
    media_type, data = _document(args.name, worker, registry)
    if args.raw:
        return data.decode("utf-8")
    name = _name(args.name)
    document = json.loads(data)
    top = {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)}
    if args.format:
        return _formatted(args.format, name, {**document, **top})
    lines = [("Name:", name), ("MediaType:", media_type), ("Digest:", str(top["digest"]))]
    text = "".join(f"{key:<11}{visible(value)}\n" for key, value in lines)
    if media_type in INDEXES:
        text += "\nManifests:\n"
        text += "\n".join(_entry(one, name) for one in Index.parse(data).manifests)
    return text


def _entry(entry: Descriptor, name: str) -> str:
    repository = name.partition("@")[0]
    lines = [
        ("Name:", f"{repository}@{entry.digest}"),
        ("MediaType:", entry.media_type),
        ("Platform:", "" if entry.platform is None else str(entry.platform)),
        *(("Annotation:", f"{key}={value}") for key, value in entry.annotations),
    ]
    return "".join(f"  {key:<12}{visible(value)}\n" for key, value in lines if value)


def _name(text: str) -> str:
    try:
        return str(Reference.parse(text))
    except ValueError:
        return text


def _formatted(template: str, name: str, manifest: dict[str, Any]) -> str:
    """Return what a template gives; fields have the names of Go's types and those of JSON."""
    if template == "json":
        return f"{json.dumps({'name': name, 'manifest': manifest}, indent=2)}\n"
    capital = {key[:1].upper() + key[1:]: value for key, value in manifest.items()}
    last: ValueError | None = None
    for fields in (manifest, capital):
        try:
            text = render(template, {"Name": name, "Manifest": fields})
            return f"{visible(text, keep_newlines=True)}\n"
        except ValueError as error:
            last = error
    raise UsageError(f"--format: {last}", hint="for example '{{json .Manifest}}'") from last
