"""`pybuild inspect`: a container, or an image's configuration, as `docker inspect` shows it."""

from __future__ import annotations

import json
import sys

from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root
from buildkit.cli.report import describe
from buildkit.cli.template import line_of
from buildkit.errors import ImageError, UsageError
from buildkit.images import ImageStore
from buildkit.oci.config import ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.state.root import StateRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-f", "--format", metavar="TEMPLATE", help="json, or for example '{{.Id}}'")
    add("-s", "--size", action="store_true", help="accepted: sizes are shown anyway")
    add(
        "--platform", default="", metavar="OS/ARCH", help="which image of an index (this machine's)"
    )
    add("-t", "--type", choices=("container", "image"), help="what to look for")
    add("images", nargs="+", metavar="NAME", help="a name or an ID of a container or an image")


def command(args: Namespace) -> int:
    """Print a JSON array with an object for each, or a line each with --format.

    A name may mean both: then it is the container, as with docker. What is not there is told of
    behind what is.
    """
    documents: list[dict[str, Any]] = []
    missing: list[ImageError | UsageError] = []
    with open_root(args) as root:
        store = ImageStore(root)
        platform = image_platform_of(args.platform)
        kind = "image" if args.platform else args.type
        for text in args.images:
            try:
                documents.append(_described(root, store, text, kind, platform))
            except (ImageError, UsageError) as error:
                missing.append(error)
    if args.format in (None, "json"):
        if documents:
            print_json(documents)
    else:
        for document in documents:
            sys.stdout.write(f"{line_of(args.format, document, '{{.Config.Env}}')}\n")
    told = [describe(error) for error in missing]
    sys.stdout.flush()
    sys.stderr.writelines(text for _, text in told)
    return max((status for status, _ in told), default=0)


def _described(
    root: StateRoot, store: ImageStore, text: str, kind: str | None, platform: Platform | None
) -> dict[str, Any]:
    if kind != "image":
        from buildkit.containers.inspection import inspection  # not for images
        from buildkit.containers.store import ContainerStore

        try:
            return inspection(root, ContainerStore(root).find(text))
        except UsageError:
            if kind == "container":
                raise
    try:
        return describe_image(root, store, text, platform)
    except ImageError as error:
        if kind == "image":
            raise
        raise ImageError(f"{error.message}, and no container", hint=error.hint) from error


def image_platform_of(text: str) -> Platform | None:
    """Return the platform that says which image of an index is meant, None where none does."""
    try:
        return Platform.parse(text) if text else None
    except ValueError as error:
        raise UsageError(f"--platform: {error}", hint="as in linux/amd64") from error


def image_for(store: ImageStore, text: str, platform: Platform | None) -> ResolvedImage:
    """Return the image that `text` means, which is for `platform` if one is asked for.

    Raises ImageError.
    """
    found = store.find(text, platform)
    own = found.config.platform
    if platform is not None and not (own[:2] == platform[:2] and own.variant <= platform.variant):
        raise ImageError(f"image {text} is for {own}, not for {platform}")
    return found


def describe_image(
    root: StateRoot, store: ImageStore, text: str, platform: Platform | None = None
) -> dict[str, Any]:
    """Return what docker tells of an image. Raises ImageError when there is none."""
    found = image_for(store, text, platform)
    digest = found.config_digest
    config = found.config
    named = store.identify(text)
    manifest = store.manifest(named)
    names = [Reference.parse(name) for name in store.names(named)]
    # The blob as it is: what another tool put there and pybuild does not know is shown too.
    document = json.loads(store.config_blob(digest))
    return {
        "Id": digest,
        "RepoTags": [name.familiar for name in names],
        "RepoDigests": []
        if manifest is None
        else sorted({f"{name.repository}@{manifest}" for name in names}),
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": sum(layer_sizes(root, config.diff_ids).values()),
        "Config": {
            "User": "",
            "Env": [],
            "Entrypoint": None,
            "Cmd": None,
            "WorkingDir": "",
            "Labels": {},
            **(document.get("config") or {}),
        },
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "History": document.get("history") or [],
    }


def layer_sizes(root: StateRoot, diff_ids: tuple[Digest, ...]) -> dict[Digest, int]:
    """Return the size of each layer's tar in bytes."""
    with root.reading():
        database = root.database()
        rows = [
            (d, database.execute("SELECT size FROM layer WHERE diff_id=?", (d,)).fetchone())
            for d in diff_ids
        ]
    return {diff_id: 0 if row is None else int(row[0]) for diff_id, row in rows}
