"""Pushing blobs: those that are missing, several at once.

In: blobs that can be made and read. Out: they are in the repository. What it has is skipped, what
another repository of the same registry has is mounted. The manifest is for the caller to put,
after them, so that nobody ever sees a name whose blobs are not all there (guarantee R7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from buildkit.oci.digest import Digest
from buildkit.progress.events import Emit
from buildkit.registry.client import Registry
from buildkit.registry.pull import AT_ONCE, Told, first_failure
from buildkit.registry.repository import Repository
from buildkit.registry.uploads import Source
from runtime.values import NamedTuple


class Parcel(NamedTuple):
    """A blob to push. `open(offset)` reads it; `elsewhere`: a repository that may have it.

    `sent`: it is there already, sent while it was made.
    """

    digest: Digest
    size: int
    open: Callable[[int], Iterator[bytes]]
    what: str
    elsewhere: str = ""
    sent: bool = False


Make: TypeAlias = Callable[[], Parcel]
"""Makes a blob ready to be sent, which may take a while: compression."""


def push_blobs(
    registry: Registry, repository: Repository, makers: Sequence[Make], emit: Emit
) -> None:
    """Make and push blobs, several at once: one is compressed while another is sent.

    Raises RegistryError, StoreError, Cancelled, and what `makers` raise.
    """
    with ThreadPoolExecutor(max(1, min(len(makers), AT_ONCE)), "pybuild-push") as pool:
        works = [pool.submit(_push_one, repository, make, emit) for make in makers]
        failure = first_failure(works, registry)
    if failure is not None:
        raise failure


def _push_one(repository: Repository, make: Make, emit: Emit) -> None:
    parcel = make()
    if parcel.sent or repository.has_blob(parcel.digest):
        return
    elsewhere = parcel.elsewhere
    if elsewhere == repository.place.repository:
        elsewhere = ""

    def opened(offset: int) -> Iterator[bytes]:
        told = Told(parcel.what, parcel.size, emit, offset)
        for block in parcel.open(offset):
            yield block
            told.more(len(block))

    source = Source(parcel.digest, parcel.size, opened, f"pushing {parcel.what}")
    repository.put_blob(source, mount_from=elsewhere)
