"""ADD of a URL: downloaded once, revalidated on every build.

In: an `HttpOp`. Out: for its key the digest of the body, its name and its time (what the server
calls it, an ETag, stays out); for its layer one file, 0600 and 0:0. What a URL gave is noted beside
the memories of contexts, so that the next build asks whether it has changed; with a checksum that
is known to be met nobody is asked. Source: docs/dockerfile.md, 9.7 and 13.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping

from buildkit.context.http import Credentials, Download, download, no_credentials
from buildkit.context.rows import hashed
from buildkit.errors import ContextError, StoreError
from buildkit.llb.op import HttpOp
from buildkit.oci.digest import Digest
from buildkit.ops.transfer import write_all
from buildkit.state import notes
from grammar.urls import redacted

_CHUNK = 1 << 20


class Downloads:
    """The downloads of one build.

    `folder`: where notes are kept (`contexts` of the state root). `aside`: makes a new private
    directory for bodies. `credentials` by host.
    """

    def __init__(
        self, folder: str, aside: Callable[[], str], credentials: Credentials = no_credentials
    ) -> None:
        self._folder = folder
        self._aside = aside
        self._credentials = credentials
        self._bodies: dict[str, str] = {}
        self._found: dict[str, Download] = {}

    def identify(
        self, op: HttpOp, check: Callable[[], object] = lambda: None
    ) -> Mapping[str, str | int]:
        """Return what the result of `op` depends on, for its key. Raises ContextError."""
        found = self._current(op, check)
        return {"body": str(found.digest), "name": op.filename, "modified": found.modified}

    def write(self, op: HttpOp, upper: str, check: Callable[[], object] = lambda: None) -> None:
        """Write the file into the empty directory `upper`. Raises ContextError, StoreError."""
        if "/" in op.filename or op.filename in ("", ".", ".."):
            raise ContextError(f"{redacted(op.url)} gives no file name: {op.filename!r}")
        found = self._current(op, check)
        if op.url not in self._bodies:
            # The server said that nothing had changed, but the layer is gone.
            fresh = self._load(op, None, check)
            if fresh is None or fresh.digest != found.digest:
                raise ContextError(f"{redacted(op.url)} changed while it was read")
        path = os.path.join(upper, op.filename)
        try:
            _copy(self._bodies[op.url], path, found.digest, check)
            os.chown(path, 0, 0)
            os.utime(path, (found.modified, found.modified))
        except OSError as error:
            raise StoreError(f"cannot keep {op.filename}: {error.strerror}") from error

    def _current(self, op: HttpOp, check: Callable[[], object]) -> Download:
        """Return what the URL gives now, checked against the checksum that was asked for."""
        found = self._found.get(op.url)
        if found is None:
            known = self._noted(op.url)
            if known is not None and op.checksum is not None and known.digest == op.checksum:
                return known
            found = self._load(op, known, check) or known
            assert found is not None
            self._found[op.url] = found
        if op.checksum is not None and found.digest != op.checksum:
            raise ContextError(
                f"digest mismatch {found.digest}: {op.checksum}",
                hint=f"{redacted(op.url)} is not what --checksum says",
            )
        return found

    def _load(
        self, op: HttpOp, known: Download | None, check: Callable[[], object]
    ) -> Download | None:
        """Download, unless `known` still holds."""
        body = os.path.join(self._aside(), "body")
        fd = os.open(body, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            found = download(op.url, fd, known=known, credentials=self._credentials, check=check)
        finally:
            os.close(fd)
        if found is not None:
            self._bodies[op.url] = body
            self._note(op.url, found)
        return found

    def _noted(self, url: str) -> Download | None:
        """Return what `url` gave the last time; None when nothing sound is noted."""
        try:
            with open(self._path(url), "rb") as file:
                digest, size, modified, etag, place = json.loads(file.read(1 << 16))
            return Download(Digest.parse(digest), int(size), int(modified), str(etag), str(place))
        except (OSError, ValueError, TypeError):
            return None

    def _note(self, url: str, found: Download) -> None:
        """Note what `url` gave. Failing to is no error: the next build downloads again."""
        notes.keep(self._path(url), json.dumps(found).encode("ascii"))

    def _path(self, url: str) -> str:
        # A digest, for the URL may hold a password, and is no file name.
        name = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()
        return os.path.join(self._folder, f"http-{name}")


def _copy(source: str, path: str, digest: Digest, check: Callable[[], object]) -> None:
    """Copy the body to a new file, which must then have `digest`."""
    with open(source, "rb", buffering=0) as file:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while data := file.read(_CHUNK):
                check()
                write_all(fd, data)
            os.fchmod(fd, 0o600)
            os.lseek(fd, 0, os.SEEK_SET)
            if hashed(fd) != digest.hex:
                raise StoreError("a download changed on the disk")
        finally:
            os.close(fd)
