"""Storing a blob in a registry: mounted, in one piece, or in chunks.

In: a blob that can be read from any offset. Out: it is in the repository. A blob goes up in one
PUT; in chunks where the registry finds that too large (413) or where an upload broke, so that not
all has to be sent again. Source: distribution-spec 1.1, "Pushing blobs".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from buildkit.oci.digest import Digest
from buildkit.registry.errors import NotFoundError, RegistryError
from buildkit.registry.retry import Tries
from buildkit.registry.session import Call, Session
from runtime.values import NamedTuple

CHUNK = 8 << 20
_MAX_CHUNK = 1 << 30
_TOO_LARGE = 413
_TOO_LONG_AGO = frozenset({404, 416})


class Source(NamedTuple):
    """A blob to send. `open(offset)` gives its bytes from there on, anew at each call."""

    digest: Digest
    size: int
    open: Callable[[int], Iterator[bytes]]
    what: str


class _Begun(NamedTuple):
    """An upload session: where to send to, and the least a chunk must have."""

    url: str
    least: int


def upload(
    session: Session, repository: str, scope: str, source: Source, mount_from: str = ""
) -> bool:
    """Store the blob; return whether bytes were sent. Raises RegistryError, Cancelled."""
    return _Upload(session, repository, scope, source).run(mount_from)


class _Upload:
    """The upload of one blob."""

    def __init__(self, session: Session, repository: str, scope: str, source: Source) -> None:
        self._session = session
        self._repository = repository
        self._scope = scope
        self._source = source
        self._chunked = False
        self._tries = Tries(session.transport.limits, session.transport.watch)

    def run(self, mount_from: str) -> bool:
        begun = self._begin(mount_from)
        while begun is not None:
            try:
                if self._chunked:
                    self._in_chunks(begun)
                else:
                    self._whole(begun)
            except RegistryError as error:
                if error.status == _TOO_LARGE and not self._chunked:
                    self._chunked = True
                else:
                    self._failed(error)
                begun = self._begin("")
                continue
            return True
        return False

    def _failed(self, error: RegistryError) -> None:
        """Pause before another try, or raise. A session that is gone is begun anew."""
        error.temporary = error.temporary or error.status in _TOO_LONG_AGO
        self._tries.failed(error)
        self._chunked = self._chunked or self._source.size > CHUNK

    def _begin(self, mount_from: str) -> _Begun | None:
        """Begin an upload session; None when the blob was mounted and nothing is to be sent."""
        query = ""
        if mount_from:
            query = "?" + urlencode([("mount", self._source.digest), ("from", mount_from)])
        call = self._call("POST", f"{self._repository}/blobs/uploads/{query}", {201, 202})
        answer = self._session.call(call)
        location = answer.headers.get("Location", "")
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        answer.finish()
        if answer.status == 201 and mount_from:
            return None
        number = int(least) if least.isascii() and least.isdigit() and len(least) < 12 else 0
        return _Begun(self._located(location, call), number)

    def _whole(self, begun: _Begun) -> None:
        headers = (("Content-Type", "application/octet-stream"),)
        call = self._call("PUT", self._closing(begun.url), {200, 201, 204})
        self._session.once(
            call._replace(
                headers=headers, body=lambda: self._source.open(0), size=self._source.size
            )
        ).finish()

    def _in_chunks(self, begun: _Begun) -> None:
        """Send chunk by chunk; each that fails is tried again from where the registry is."""
        url, sent = begun.url, 0
        chunk = min(max(CHUNK, begun.least), _MAX_CHUNK)
        while sent < self._source.size:
            end = min(sent + chunk, self._source.size)
            try:
                url = self._chunk(url, sent, end)
                sent = end
                self._tries.succeeded()
            except RegistryError as error:
                if not error.temporary:
                    raise
                self._tries.failed(error)
                url, sent = self._position(url)
        call = self._call("PUT", self._closing(url), {200, 201, 204})
        self._session.once(call._replace(body=lambda: iter(()), size=0)).finish()

    def _chunk(self, url: str, start: int, end: int) -> str:
        headers = (
            ("Content-Type", "application/octet-stream"),
            ("Content-Range", f"{start}-{end - 1}"),
        )
        call = self._call("PATCH", url, {200, 201, 202, 204})._replace(
            headers=headers,
            body=lambda: _cut(self._source.open(start), end - start),
            size=end - start,
        )
        answer = self._session.once(call)
        location = answer.headers.get("Location", "")
        answer.finish()
        return self._located(location, call) if location else url

    def _position(self, url: str) -> tuple[str, int]:
        """Ask how far the upload has come. Raises RegistryError when it is gone."""
        call = self._call("GET", url, {200, 202, 204})
        answer = self._session.call(call)
        location = answer.headers.get("Location", "")
        _, _, last = answer.headers.get("Range", "").rpartition("-")
        answer.finish()
        if not last.isascii() or not last.isdigit() or len(last) > 18:
            raise NotFoundError(f"{self._source.what}: the upload is gone", status=404)
        sent = int(last) + 1 if int(last) else 0
        if sent > self._source.size:
            raise NotFoundError(f"{self._source.what}: the upload is another one", status=404)
        return (self._located(location, call) if location else url), sent

    def _closing(self, url: str) -> str:
        mark = "&" if "?" in url else "?"
        return f"{url}{mark}{urlencode([('digest', self._source.digest)])}"

    def _located(self, location: str, call: Call) -> str:
        if not location:
            raise RegistryError(f"{self._source.what}: the registry does not say where to send it")
        return self._session.resolve(location, call)

    def _call(self, method: str, target: str, expected: set[int]) -> Call:
        return Call(
            method=method,
            target=target,
            what=self._source.what,
            scope=self._scope,
            repository=self._repository,
            expected=frozenset(expected),
        )


def _cut(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Give the first `size` bytes of `blocks`."""
    for block in blocks:
        yield block[:size]
        size -= len(block)
        if size <= 0:
            return
