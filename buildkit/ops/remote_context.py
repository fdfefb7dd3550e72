"""Build contexts that come as a stream: tars on standard input, tarballs behind a URL.

In: a stream or a URL, and an empty private directory. Out: the directory filled, to be opened as a
local context without an ignore file; or, if what came is no archive, its bytes, which are then the
text of the Dockerfile. Source: docs/dockerfile.md, chapter 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from buildkit.content.streams import Reader
from buildkit.context.http import Credentials, download, no_credentials
from buildkit.errors import ContextError
from buildkit.ops.archive import FileReader, decompressed, has_header
from buildkit.snapshot.unpack import unpack_archive

_LIMIT = 16 << 20
_CHUNK = 1 << 16


class _Replay:
    """Reads a stream that can be started over once, before `go`."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._read = bytearray()
        self._place = 0
        self._keeps = True

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        if self._place < len(self._read):
            data = bytes(self._read[self._place : self._place + size])
        else:
            data = self._source.read(size)
            if not self._keeps:
                return data
            self._read += data
        self._place += len(data)
        return data

    def head(self, size: int) -> bytes:
        """Return the first bytes without moving on."""
        while len(self._read) < size and (data := self._source.read(size)):
            self._read += data
        return bytes(self._read[:size])

    def start_over(self) -> None:
        """Give all again that was given."""
        self._place = 0

    def go(self) -> None:
        """Keep no more."""
        self._keeps = False


def unpack_stream(
    stream: Reader, directory: str, *, name: str, check: Callable[[], object] = lambda: None
) -> bytes | None:
    """Unpack `stream` into `directory`; return its bytes instead if it is no archive.

    Raises ImageError for a damaged archive, ContextError for what is neither archive nor short.
    """
    check()
    replay = _Replay(stream)
    head = replay.head(6)
    is_archive = has_header(decompressed(replay, head, name))
    replay.start_over()
    replay.go()
    if not is_archive:
        return _text(replay, name)
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack_archive(decompressed(replay, head, name), root)
    finally:
        os.close(root)
    return None


def fetch_context(
    url: str,
    directory: str,
    body: str,
    *,
    credentials: Credentials = no_credentials,
    check: Callable[[], object] = lambda: None,
) -> bytes | None:
    """Download `url` to the new file `body` and treat it as `unpack_stream` does a stream."""
    fd = os.open(body, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        download(url, fd, credentials=credentials, check=check)
        return unpack_stream(FileReader(fd, check), directory, name="the context", check=check)
    finally:
        os.close(fd)


def _text(source: Reader, name: str) -> bytes:
    text = bytearray()
    while data := source.read(_CHUNK):
        text += data
        if len(text) > _LIMIT:
            raise ContextError(f"{name} is neither an archive nor a Dockerfile")
    return bytes(text)
