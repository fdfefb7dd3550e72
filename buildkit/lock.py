"""The lock file beside a Dockerfile: what its names mean, for builds that must not drift.

Names are those of base images, the URLs of ADD, and refs of repositories. In and out: JSON with
sorted keys, `Dockerfile.lock` beside `Dockerfile`, made by `pybuild lock` and kept under version
control. `--locked` takes what it says, whatever the names mean by now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from buildkit.definition import Resolve
from buildkit.errors import DefinitionError, ImageError
from buildkit.frontend.bases import BaseRequest, BaseUse
from buildkit.frontend.lower import Lowered
from buildkit.images import ImageStore
from buildkit.llb.graph import Graph, Vertex, vertex_id
from buildkit.llb.op import GitOp, HttpOp, Op
from buildkit.oci.config import ResolvedImage
from buildkit.oci.digest import Digest
from grammar.urls import redacted
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


FORMAT = 1

_LIMIT = 4 << 20


class Pin(NamedTuple):
    """An image: its ID (config digest), and the digest of its manifest or index in the registry,
    None for an image that came from none.
    """

    image: Digest
    manifest: Digest | None


class Lock(NamedTuple):
    """A lock file: pins by `REFERENCE PLATFORM`; sha256 of a URL's file, or commit of a ref."""

    path: str
    images: Mapping[str, Pin]
    sources: Mapping[str, str]


def name_of(wanted: BaseRequest) -> str:
    """Return the name of a pin."""
    return f"{wanted.reference} {wanted.platform}"


def path_of(dockerfile: str | None) -> str:
    """Return where the lock file of a Dockerfile is. Raises DefinitionError without a Dockerfile
    that lies somewhere.
    """
    if dockerfile is None:
        raise DefinitionError(
            "a Dockerfile from standard input has no lock file", hint="write it to a file"
        )
    return f"{dockerfile}.lock"


def read_lock(path: str) -> Lock | None:
    """Return the lock file at `path`, None if there is none. Raises DefinitionError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LIMIT)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"cannot read {path}: {error}") from error
    try:
        document = json.loads(text)
        if document["version"] != FORMAT:
            raise DefinitionError(f"{path} has format {document['version']}, not {FORMAT}")
        images = {str(name): _pin(fields) for name, fields in document["images"].items()}
        sources = {str(name): str(pin) for name, pin in document.get("sources", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DefinitionError(
            f"{path} is no lock file", hint="remove it, then 'pybuild lock' writes it anew"
        ) from error
    return Lock(path, images, sources)


def lock_of(dockerfile: str | None) -> Lock:
    """Return the lock file of a Dockerfile. Raises DefinitionError when there is none."""
    path = path_of(dockerfile)
    lock = read_lock(path)
    if lock is None:
        raise DefinitionError(f"--locked: there is no {path}", hint="'pybuild lock' writes it")
    return lock


def encode_lock(lock: Lock) -> str:
    """Return the text of a lock file."""
    images = {
        name: {"image": pin.image, **({"manifest": pin.manifest} if pin.manifest else {})}
        for name, pin in lock.images.items()
    }
    document = {"version": FORMAT, "images": images, "sources": dict(lock.sources)}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def locked(resolve: Resolve, lock: Lock, images: ImageStore) -> Resolve:
    """Return what finds the images that the lock file names."""

    def resolve_locked(wanted: BaseRequest, use: BaseUse) -> ResolvedImage:
        pin = lock.images.get(name_of(wanted))
        if pin is None:
            raise DefinitionError(
                f"{wanted.reference} for {wanted.platform} is not in {lock.path}",
                lines=use.lines,
                hint="'pybuild lock' adds it",
            )
        try:
            return images.find(pin.image)._replace(reference=wanted.reference)
        except ImageError:
            found = resolve(_by_digest(wanted, pin), use)
        if found.config_digest != pin.image:
            raise DefinitionError(
                f"{wanted.reference} is {found.config_digest}, and {lock.path} has {pin.image}",
                lines=use.lines,
                hint="'pybuild lock' takes what it is now",
            )
        return found._replace(reference=wanted.reference)

    return resolve_locked


def source_of(op: Op) -> str:
    """Return the name of the pin of a download or a checkout, empty for what needs none.

    What the Dockerfile gives a checksum of is pinned there.
    """
    match op:
        case HttpOp(url=url, checksum=None):
            return redacted(url)
        case GitOp(remote=remote, ref=ref, checksum=""):
            return f"{redacted(remote)}#{ref}"
        case _:
            return ""


def pinned(lowered: Lowered, lock: Lock) -> Lowered:
    """Return the graph with downloads and checkouts held to the lock file.

    Raises DefinitionError for one that is not in it.
    """
    if not any(source_of(vertex.op) for vertex in lowered.graph):
        return lowered
    graph = Graph()
    names: dict[str | None, str | None] = {None: None}
    for vertex in lowered.graph:
        op = _held(vertex, lock)
        inputs = tuple(names[name] for name in vertex.inputs)
        name = vertex_id(op, inputs, vertex.wishes)
        names[vertex.id] = graph.add(vertex._replace(id=name, op=op, inputs=inputs)).id
    return lowered._replace(
        graph=graph,
        target=None if lowered.target is None else names[str(lowered.target)],
        history=tuple(item._replace(vertex=names[item.vertex]) for item in lowered.history),
        steps=tuple(vertex for vertex in graph if vertex.number),
    )


def _held(vertex: Vertex, lock: Lock) -> Op:
    name = source_of(vertex.op)
    if not name:
        return vertex.op
    pin = lock.sources.get(name)
    if pin is None:
        raise DefinitionError(
            f"{name} is not in {lock.path}", lines=vertex.lines, hint="'pybuild lock' adds it"
        )
    if isinstance(vertex.op, GitOp):
        return vertex.op._replace(ref=pin, checksum=pin)
    assert isinstance(vertex.op, HttpOp)
    try:
        return vertex.op._replace(checksum=Digest.parse(pin))
    except ValueError as error:
        raise DefinitionError(f"{lock.path}: {pin!r} is no digest", lines=vertex.lines) from error


def _by_digest(wanted: BaseRequest, pin: Pin) -> BaseRequest:
    """Return the request for what the registry has under the digest of the pin."""
    if pin.manifest is None or "@" in wanted.reference or "://" in wanted.reference:
        return wanted
    return wanted._replace(reference=f"{wanted.reference}@{pin.manifest}")


def _pin(fields: Mapping[str, Any]) -> Pin:
    manifest = fields.get("manifest")
    return Pin(
        Digest.parse(str(fields["image"])),
        None if manifest is None else Digest.parse(str(manifest)),
    )
