"""`pybuild attest ls|show`: what is attested about an image, here or in a registry.

Exit status: 0; 1 there is no such image or attestation; 2 the command line is at fault.
"""

from __future__ import annotations

import json
import sys

from buildkit.attestation.kept import kept
from buildkit.attestation.statement import (
    IN_TOTO,
    MAX_STATEMENT,
    PREDICATES,
    AttestationKind,
    parsed,
)
from buildkit.cli.access import access_of, add_access, reference_of
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.inspect import image_platform_of
from buildkit.cli.interrupts import cancelling
from buildkit.cli.listing import print_json, print_table
from buildkit.cli.options import open_root
from buildkit.errors import ImageError
from buildkit.exporter.attestation_manifests import stored_in
from buildkit.oci.digest import Digest
from buildkit.oci.index import ABOUT, Index
from buildkit.progress.cancel import Cancel
from buildkit.registry.client import Registry
from buildkit.registry.statements import statements_of
from buildkit.sizes import size_text
from buildkit.worker import Worker
from runtime.typed import get_args
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Found(NamedTuple):
    """`digest`: of the artifact where it is one, else of the statement.

    `platform`: of the image that it is about, where the name stands for several.
    """

    digest: str
    platform: str
    size: int
    statement: dict[str, Any]


def add_arguments(parser: Parser) -> None:
    """Declare the arguments."""
    parser.usage = "pybuild attest [OPTIONS] ls|show IMAGE"
    add = parser.add_argument
    add("--remote", action="store_true", help="ask the registry that the name means")
    add("--type", choices=get_args(AttestationKind), help="show this kind (all)")
    add("--platform", metavar="OS/ARCH", help="of an index: about this one alone (all)")
    add("--predicate", action="store_true", help="show what is said without the statement around")
    add("--format", choices=("table", "json"), default="table", help="of the list")
    add_access(parser)
    add("action", choices=("ls", "show"))
    add("image", metavar="IMAGE", help="a name or an ID; with --remote a name")


def command(args: Namespace) -> int:
    """List or show."""
    platform = image_platform_of(args.platform or "")
    with cancelling() as cancel:
        found = _remote(args, cancel) if args.remote else _local(args)
    if platform is not None:
        found = [one for one in found if one.platform in ("", str(platform))]
    if args.type:
        wanted = PREDICATES[args.type]
        found = [one for one in found if one.statement["predicateType"] == wanted]
    if args.action == "ls":
        _list(found, args.format)
        return 0
    if not found:
        what = args.type or "attestation"
        raise ImageError(
            f"{args.image} has no {what}", hint="build it with --sbom=true or --provenance=true"
        )
    for one in found:
        print_json(one.statement.get("predicate") if args.predicate else one.statement)
    return 0


def _local(args: Namespace) -> list[_Found]:
    with open_root(args) as root, Worker(root) as worker:
        image = worker.images.identify(args.image)
        images = {image: ""}
        if worker.images.is_index(image):
            parts = worker.images.parts(image)
            images = {part.image: str(part.entry.platform or "") for part in parts}
        found = []
        for one in (one for image in images for one in kept(root, image)):
            data = worker.blobs.read(one.statement, MAX_STATEMENT)
            statement = parsed(data, f"blob {one.statement}")
            found.append(_Found(one.statement, images[one.image], len(data), statement))
        known = {(one.platform, one.statement["predicateType"]) for one in found}
        within = _within(worker, image) if worker.images.is_index(image) else ()
        return found + [
            one for one in within if (one.platform, one.statement["predicateType"]) not in known
        ]


def _within(worker: Worker, digest: Digest) -> list[_Found]:
    """Return what an index of the store says itself of its images, as Moby BuildKit has it do."""
    index = Index.parse(worker.blobs.read(digest), f"index {digest}")
    platforms = {str(one.digest): str(one.platform or "") for one in index.manifests}
    found = []
    for one in stored_in(worker.blobs, index):
        subject = dict(one.entry.annotations).get(ABOUT, "")
        for blob in one.blobs:
            if blob.media_type == IN_TOTO:
                data = worker.blobs.read(blob.digest, MAX_STATEMENT)
                statement = parsed(data, f"blob {blob.digest}")
                platform = platforms.get(subject, "")
                found.append(_Found(blob.digest, platform, len(data), statement))
    return found


def _remote(args: Namespace, cancel: Cancel) -> list[_Found]:
    reference = reference_of(args.image)
    with Registry(cancel, access_of(args)) as registry:
        return [
            _Found(digest, platform, len(data), parsed(data, f"attestation {digest}"))
            for digest, platform, data in statements_of(registry, reference, IN_TOTO, MAX_STATEMENT)
        ]


def _list(found: list[_Found], form: str) -> None:
    rows = [
        (str(one.statement["predicateType"]), one.platform, one.digest, one.size) for one in found
    ]
    if form == "json":
        keys = ("predicateType", "platform", "digest", "size")
        sys.stdout.write("".join(json.dumps(dict(zip(keys, r, strict=True))) + "\n" for r in rows))
        return
    print_table(
        ("PREDICATE TYPE", "PLATFORM", "DIGEST", "SIZE"),
        [(kind, platform or "-", at, size_text(n)) for kind, platform, at, n in rows],
    )
