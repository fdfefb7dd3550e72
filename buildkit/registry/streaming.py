"""Sending a blob while it is being made, when neither its size nor its digest is known yet.

In: blocks, pushed from another thread; the digest in the end. Out: whether the blob is in the
repository. One PATCH without a length, as docker sends; a PUT with the digest ends it. Whatever
goes wrong, the maker goes on undisturbed, and the blob is sent in the usual way, with all its
tries, afterwards. Memory is a few blocks: a slow line slows the maker down.
Source: distribution-spec 1.1, "Pushing a blob in chunks"; distribution's "Stream upload".
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from buildkit.errors import BuildError
from buildkit.oci.digest import Digest
from buildkit.registry.errors import RegistryError
from buildkit.registry.session import Call, Session

_AHEAD = 8
_SENT = 64 << 10
UNKNOWN = -1
"""The size of a body that is sent until it ends."""


class StreamingUpload:
    """One upload; call it with blocks. A context manager, within which `finish` is called."""

    def __init__(
        self,
        session: Session,
        repository: str,
        scope: str,
        what: str,
        tell: Callable[[int], None],
    ) -> None:
        self._session = session
        self._repository = repository
        self._scope = scope
        self._what = what
        self._tell = tell
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._failed = False
        self._closed = False
        self._at_end = False
        self._location = ""
        self._thread = threading.Thread(target=self._run, name="pybuild-upload", daemon=True)
        self._thread.start()

    def __call__(self, block: bytes) -> None:
        """Send a block, or drop it when the upload has failed."""
        if not self._failed:
            self._blocks.put(block)

    def finish(self, digest: Digest) -> bool:
        """End the upload: the blob is `digest`. Say whether the registry has taken it."""
        self._end()
        if self._failed:
            return False
        mark = "&" if "?" in self._location else "?"
        target = f"{self._location}{mark}{urlencode([('digest', digest)])}"
        call = self._call("PUT", target, {200, 201, 204})
        try:
            self._session.once(call._replace(body=lambda: iter(()))).finish()
        except RegistryError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._failed = True
        self._end()

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._blocks.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._location = self._sent()
        except BuildError:  # also Cancelled: the maker is told by its own check
            self._location = ""
        finally:
            self._failed = self._failed or not self._location
            while not self._at_end:  # the maker must not wait for us
                self._at_end = self._blocks.get() is None

    def _sent(self) -> str:
        """Send what comes; return where to go on."""
        begin = self._call("POST", f"{self._repository}/blobs/uploads/", {202})
        answer = self._session.call(begin)
        location = answer.headers.get("Location", "")
        answer.finish()
        url = self._session.resolve(location, begin) if location else ""
        if not url:
            return ""
        opened: list[Iterator[bytes]] = [self._body()]

        def body() -> Iterator[bytes]:
            if not opened:
                raise RegistryError(f"{self._what} cannot be sent a second time")
            return opened.pop()

        call = self._call("PATCH", url, {200, 201, 202, 204})._replace(
            headers=(("Content-Type", "application/octet-stream"),), body=body, size=UNKNOWN
        )
        answer = self._session.once(call)
        location = answer.headers.get("Location", "")
        answer.finish()
        return self._session.resolve(location, call) if location else url

    def _body(self) -> Iterator[bytes]:
        while (block := self._blocks.get()) is not None:
            for start in range(0, len(block), _SENT):
                yield block[start : start + _SENT]
            self._tell(len(block))
        self._at_end = True
        if self._failed:
            # Breaks the connection: what was made only in part must not look whole.
            raise RegistryError(f"{self._what} could not be made")

    def _call(self, method: str, target: str, expected: set[int]) -> Call:
        return Call(
            method=method,
            target=target,
            what=self._what,
            scope=self._scope,
            repository=self._repository,
            expected=frozenset(expected),
        )
