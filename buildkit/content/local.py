"""Blobs in files: `blobs/sha256/<hex>` below the state root, the layout of an OCI image layout.

A blob is written below `tmp/`, hashed as it is written, checked, synced, and renamed to its
name: whoever sees the name sees the whole. It is hashed again whenever it is read, for what
leaves the store must be right or an error (docs/security.md, R1, R2).
"""

from __future__ import annotations

import contextlib
import io
import os
from _thread import allocate_lock  # `threading` itself is 1 ms for classes
from contextlib import AbstractContextManager

from buildkit.content.store import Stored
from buildkit.content.streams import CHUNK, Reader, Sink, VerifyingReader, copy
from buildkit.content.writeback import SyncedFile
from buildkit.errors import ImageError, StoreError
from buildkit.oci.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.state.root import StateRoot


_PLACE = "blobs/sha256"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class LocalBlobStore:
    """A `BlobStore` below one state root."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root
        self._directory = root.path(_PLACE)
        self._half_made = ""
        self._number = 0
        self._mutex = allocate_lock()

    def path(self, digest: Digest) -> str:
        """Return where the blob is, or would be."""
        return f"{self._directory}/{digest.hex}"

    def put(
        self, source: Reader, *, expected: Digest | None = None, size: int | None = None
    ) -> Stored:
        """See `BlobStore`."""
        what = "blob" if expected is None else f"blob {expected}"
        checked = VerifyingReader(source, expected=expected, size=size, what=what)
        temporary, fd = self._temporary()
        file = SyncedFile(fd)
        try:
            try:
                # What reading raises is the source's affair; what writing raises is the disk's.
                while data := checked.read(CHUNK):
                    with self._root.writing(_PLACE):
                        file.write(data)
                with self._root.writing(_PLACE):
                    file.finish()
            finally:
                file.stop()
                os.close(fd)
            digest = checked.digest()
            self._root.use("blob", digest)
            with self._root.writing(_PLACE):
                os.rename(temporary, self.path(digest))
                self._sync_directory()
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        return Stored(digest, checked.seen)

    def put_bytes(self, data: bytes) -> Stored:
        """See `BlobStore`."""
        digest = Digest.of(data)
        if self._is_whole(digest, data):
            return Stored(digest, len(data))
        return self.put(io.BytesIO(data), expected=digest, size=len(data))

    def write(self, data: bytes) -> bool:
        """Store `data` without waiting for the disk; return whether it is new.

        For a caller that has it synced in a moment (`Layers.sync`). Until then a power cut may tear
        the blob, which its readers find out.
        """
        digest = Digest.of(data)
        if self._is_whole(digest, data):
            return False
        temporary, fd = self._temporary()
        with self._root.writing(_PLACE):
            try:
                _write(fd, data)
            finally:
                os.close(fd)
            os.rename(temporary, self.path(digest))
        return True

    def has(self, digest: Digest) -> bool:
        """See `BlobStore`."""
        self._root.use("blob", digest)
        return os.path.isfile(self.path(digest))

    def size(self, digest: Digest) -> int:
        """See `BlobStore`."""
        self._root.use("blob", digest)
        with self._missing(digest):
            return os.stat(self.path(digest)).st_size

    def read(self, digest: Digest, limit: int = 8 << 20) -> bytes:
        """See `BlobStore`."""
        if self.size(digest) > limit:
            raise ImageError(f"blob {digest} is larger than the {limit} bytes allowed for it")
        parts: list[bytes] = []
        self.copy(digest, parts.append)
        return b"".join(parts)

    @contextlib.contextmanager
    def open(self, digest: Digest) -> Iterator[Reader]:
        """See `BlobStore`."""
        self._root.use("blob", digest)
        with self._opened(digest) as reader:
            yield reader

    def glance(self, digest: Digest) -> bytes:
        """Return a small blob for a listing; it may be gone the next moment.

        Nothing is marked as in use: that takes a disk which can be written.
        """
        parts: list[bytes] = []
        with self._opened(digest) as reader:
            copy(reader, parts.append)
        return b"".join(parts)

    @contextlib.contextmanager
    def _opened(self, digest: Digest) -> Iterator[_BlobReader]:
        with self._missing(digest):
            fd = os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield _BlobReader(fd, digest)
        finally:
            os.close(fd)

    def copy(self, digest: Digest, sink: Sink) -> int:
        """See `BlobStore`."""
        with self.open(digest) as reader:
            return copy(reader, sink)

    def remove(self, digest: Digest) -> None:
        """See `BlobStore`."""
        with self._root.writing(_PLACE), contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(digest))

    def __iter__(self) -> Iterator[Digest]:
        """See `BlobStore`; names that are no digests are left out."""
        for name in os.listdir(self._directory):
            with contextlib.suppress(ValueError):
                yield Digest.parse(f"sha256:{name}")

    def _is_whole(self, digest: Digest, data: bytes) -> bool:
        try:
            return self.read(digest, len(data)) == data
        except (StoreError, ImageError):
            return False

    def _temporary(self) -> tuple[str, int]:
        with self._mutex:
            if not self._half_made:
                self._half_made = self._root.tmp()
            self._number += 1
            path = f"{self._half_made}/{self._number}"
        with self._root.writing(_PLACE):
            return path, os.open(path, _NEW, 0o600)

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _missing(self, digest: Digest) -> AbstractContextManager[None]:
        return _explained(digest, self._directory)


class _FileReader:
    """Reads a descriptor, which stays the caller's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        return os.read(self._fd, size)


class _BlobReader:
    """Reads a blob that was whole once; if it is no more, that is the store's fault."""

    def __init__(self, fd: int, digest: Digest) -> None:
        self._digest = digest
        self._checked = VerifyingReader(_FileReader(fd), expected=digest, size=os.fstat(fd).st_size)

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        try:
            return self._checked.read(size)
        except ImageError:
            raise StoreError(
                f"blob {self._digest} is damaged: its content is now {self._checked.digest()}",
                hint="pybuild fsck --repair drops it, then build or pull again",
            ) from None


@contextlib.contextmanager
def _explained(digest: Digest, directory: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise StoreError(
            f"blob {digest} is not in {directory}", hint="pybuild fsck tells what is damaged"
        ) from None


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
