"""The seam to blobs: immutable bytes named by their sha256."""

from __future__ import annotations

from runtime.typed import Protocol
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from buildkit.content.streams import Reader, Sink
    from buildkit.oci.digest import Digest


class Stored(NamedTuple):
    """A blob that is in the store; `size` in bytes."""

    digest: Digest
    size: int


class BlobStore(Protocol):
    """Keeps blobs. Any thread and any number of processes may use one.

    A blob appears whole, verified and synced, or not at all; putting one that is there changes
    nothing. Every method marks the blob as in use by this command before it looks, so what was
    found stays until the command ends. Errors: `ImageError` for bytes that are not what was
    announced, `StoreError` for the disk, for blobs that are missing and blobs that are damaged.
    """

    def put(
        self, source: Reader, *, expected: Digest | None = None, size: int | None = None
    ) -> Stored:
        """Store what `source` gives until its end; it must have that digest and size, if given."""
        ...

    def put_bytes(self, data: bytes) -> Stored:
        """Store `data`."""
        ...

    def has(self, digest: Digest) -> bool:
        """Say whether the blob is here."""
        ...

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes."""
        ...

    def read(self, digest: Digest, limit: int = 8 << 20) -> bytes:
        """Return a whole small blob, verified."""
        ...

    def open(self, digest: Digest) -> AbstractContextManager[Reader]:
        """Give a reader that verifies: StoreError at the end of a damaged blob, so read it all."""
        ...

    def copy(self, digest: Digest, sink: Sink) -> int:
        """Pass a whole blob to `sink`, return its size; StoreError at the end if it is damaged."""
        ...

    def remove(self, digest: Digest) -> None:
        """Remove the blob if it is here. For collection and repair alone."""
        ...

    def __iter__(self) -> Iterator[Digest]:
        """Iterate over what is here, in any order."""
        ...
