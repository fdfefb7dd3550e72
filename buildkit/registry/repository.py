"""One repository of a registry: its manifests, blobs and tags.

In: names and bytes. Out: the same, checked: a manifest is of the digest and the media type that
were announced, blobs are as long as their descriptors say. Source: distribution-spec 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import DocumentError, Fields
from buildkit.oci.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    INDEXES,
    MANIFEST,
    MANIFESTS,
)
from buildkit.registry.blobs import BlobReader
from buildkit.registry.errors import NotFoundError, RegistryError
from buildkit.registry.hosts import Place
from buildkit.registry.limits import MAX_ANSWER, MAX_MANIFEST
from buildkit.registry.session import Call, Session
from buildkit.registry.streaming import StreamingUpload
from buildkit.registry.transport import Answer
from buildkit.registry.uploads import Source, upload
from runtime.values import NamedTuple

_ACCEPT = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST, "*/*;q=0.1"))
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_PAGES = 1000
_OK = frozenset({200})


class Found(NamedTuple):
    """A manifest or index as it came; `descriptor` says what it is."""

    descriptor: Descriptor
    data: bytes


class Repository:
    """Any thread may use it."""

    def __init__(self, session: Session, place: Place) -> None:
        self._session = session
        self.place = place
        self.name = f"{place.endpoint.name}/{place.repository}"
        self._pull = f"repository:{place.repository}:pull"
        self._push = f"repository:{place.repository}:pull,push"

    def manifest(self, name: str, *, media_type: str = "", limit: int = MAX_MANIFEST) -> Found:
        """Return the manifest or index called `name`, a tag or a digest.

        `media_type`: what it must be, as a descriptor elsewhere says. Raises NotFoundError,
        RegistryError, and ImageError for one that is not what it says.
        """
        what = f"{self.name}{_joined(name)}"
        call = self._asking(
            "GET", f"manifests/{name}", what, headers=(("Accept", media_type or _ACCEPT),)
        )
        answer, data = self._session.fetch(call, limit, f"a manifest for {what}")
        announced = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        digest = answer.headers.get("Docker-Content-Digest", "")
        found = Digest.of(data)
        if ":" in name and found != name:
            raise ImageError(f"{what}: another manifest came, {found}")
        if digest and digest != found and digest.startswith("sha256:"):
            raise ImageError(f"{what}: a manifest {digest} is announced, {found} came")
        kind = media_type_of(data, announced, what)
        if media_type and kind != media_type:
            raise ImageError(f"{what}: a {media_type} is announced, a {kind} came")
        return Found(Descriptor(kind, found, len(data)), data)

    def digest_of(self, tag: str) -> Digest | None:
        """Return what `tag` points to without fetching it, None when there is no such tag."""
        try:
            answer = self._call(
                "HEAD",
                f"manifests/{tag}",
                f"{self.name}{_joined(tag)}",
                headers=(("Accept", _ACCEPT),),
            )
        except NotFoundError:
            return None
        text = answer.headers.get("Docker-Content-Digest", "")
        answer.finish()
        try:
            return Digest.parse(text)
        except ValueError:
            return self.manifest(tag).descriptor.digest  # a registry that does not say

    def put_manifest(self, name: str, data: bytes, media_type: str) -> Digest:
        """Store a manifest under a tag, or under its digest. Raises RegistryError."""
        return self._put_manifest(name, data, media_type)[0]

    def put_referrer(self, data: bytes, descriptor: Descriptor, subject: Digest) -> bool:
        """Store a manifest that has a subject; say whether the registry lists its referrers."""
        noted = self._put_manifest(descriptor.digest, data, descriptor.media_type)[1]
        return noted == subject

    def referrers(self, subject: Digest) -> bytes | None:
        """Return the index of what refers to a manifest; None: the registry keeps no such lists."""
        what = f"referrers of {self.name}@{subject}"
        call = self._asking("GET", f"referrers/{subject}", what, headers=(("Accept", INDEX),))
        try:
            return self._session.fetch(call, MAX_MANIFEST, what)[1]
        except NotFoundError:
            return None

    def _put_manifest(self, name: str, data: bytes, media_type: str) -> tuple[Digest, str]:
        """Store a manifest; return its digest and the subject that the registry has noted."""
        what = f"pushing {self.name}{_joined(name)}"
        digest = Digest.of(data)
        answer = self._call(
            "PUT",
            f"manifests/{name}",
            what,
            scope=self._push,
            expected=frozenset({200, 201, 202}),
            headers=(("Content-Type", media_type),),
            data=data,
        )
        stored = answer.headers.get("Docker-Content-Digest", "")
        noted = answer.headers.get("OCI-Subject", "")
        answer.finish()
        if stored.startswith("sha256:") and stored != digest:
            raise RegistryError(f"{what}: the registry has stored {stored} instead of {digest}")
        return digest, noted

    def delete_manifest(self, name: str) -> None:
        """Remove a manifest (by digest) or a tag. Raises NotFoundError, RegistryError."""
        self._call(
            "DELETE",
            f"manifests/{name}",
            f"removing {self.name}{_joined(name)}",
            scope=f"repository:{self.place.repository}:delete",
            expected=frozenset({200, 202, 204}),
        ).finish()

    def blob(self, blob: Descriptor, *, what: str = "") -> BlobReader:
        """Return a reader of a blob, not verified; it resumes by itself and counts its tries."""
        named = what or f"blob {blob.digest} of {self.name}"

        def open_at(offset: int) -> Answer:
            span = (("Range", f"bytes={offset}-"),) if offset else ()
            return self._session.once(
                self._asking(
                    "GET",
                    f"blobs/{blob.digest}",
                    named,
                    expected=frozenset({200, 206}),
                    headers=span,
                )
            )

        transport = self._session.transport
        return BlobReader(open_at, blob.size, named, transport.limits, transport.watch)

    def has_blob(self, digest: Digest) -> bool:
        """Say whether the repository has a blob."""
        try:
            self._call(
                "HEAD", f"blobs/{digest}", f"blob {digest} of {self.name}", scope=self._push
            ).finish()
        except NotFoundError:
            return False
        return True

    def put_blob(self, source: Source, *, mount_from: str = "") -> bool:
        """Store a blob; `mount_from`: a repository of this registry that has it.

        Return whether bytes had to be sent. Raises RegistryError.
        """
        scope = self._push
        if mount_from:
            scope = f"{scope} repository:{mount_from}:pull"
        return upload(self._session, self.place.repository, scope, source, mount_from)

    def stream(self, what: str, tell: Callable[[int], None]) -> StreamingUpload:
        """Begin to store a blob that is still being made. `tell` gets the bytes of each block."""
        return StreamingUpload(self._session, self.place.repository, self._push, what, tell)

    def tags(self) -> Iterator[str]:
        """Yield all tags, page by page. Raises NotFoundError when there is no such repository."""
        target = f"{self.place.repository}/tags/list?n=1000"
        for _ in range(_PAGES):
            call = Call(
                method="GET",
                target=target,
                what=f"the tags of {self.name}",
                scope=self._pull,
                repository=self.place.repository,
                expected=_OK,
            )
            answer, data = self._session.fetch(call, MAX_ANSWER, "tags")
            yield from Fields.parse(data, f"tags of {self.name}").texts("tags")
            target = _next(answer.headers.get("Link", ""))
            if not target:
                return

    def _call(self, method: str, target: str, what: str, **options: Any) -> Answer:  # noqa: ANN401
        """Ask, with the options of `_asking`."""
        return self._session.call(self._asking(method, target, what, **options))

    def _asking(
        self,
        method: str,
        target: str,
        what: str,
        *,
        scope: str = "",
        expected: frozenset[int] = _OK,
        headers: tuple[tuple[str, str], ...] = (),
        data: bytes | None = None,
    ) -> Call:
        """Return the call for something below the repository."""
        return Call(
            method=method,
            target=f"{self.place.repository}/{target}",
            what=what,
            scope=scope or self._pull,
            repository=self.place.repository,
            expected=expected,
            headers=headers,
            body=None if data is None else lambda: iter((data,)),
            size=0 if data is None else len(data),
        )


def media_type_of(data: bytes, announced: str, what: str) -> str:
    """Return what a document is: by its own word, else by the header's; they must not disagree.

    Raises ImageError. The shape is checked by whoever parses it (guarantee S23).
    """
    fields = Fields.parse(data, f"manifest of {what}")
    own = fields.text("mediaType", "")
    if _SCHEMA_1 in announced or fields.integer("schemaVersion", 2) == 1:
        raise ImageError(
            f"{what} has a manifest of Docker's old schema 1, which is not supported",
            hint="whoever pushes it should do so with a tool of this decade",
        )
    known = MANIFESTS | INDEXES
    if own and announced in known and own != announced:
        raise DocumentError(f"{what}: a {announced} is announced, and it calls itself {own}")
    kind = own or (announced if announced in known else "")
    if not kind:
        kind = INDEX if "manifests" in fields.data else MANIFEST
    if kind not in known:
        raise ImageError(f"{what} is no image: its manifest is a {kind[:80]!r}")
    if ("manifests" in fields.data) != (kind in INDEXES):
        raise DocumentError(f"{what}: calls itself {kind} and is something else")
    return kind


def _joined(name: str) -> str:
    return f"@{name}" if ":" in name else f":{name}"


def _next(link: str) -> str:
    """Return the path below /v2/ of the next page, empty when there is none."""
    target, _, relation = link.partition(">")
    if not target.startswith("<") or "next" not in relation:
        return ""
    parts = urlsplit(target[1:])
    path = parts.path.partition("/v2/")[2]
    return f"{quote(path)}?{parts.query}" if path else ""
