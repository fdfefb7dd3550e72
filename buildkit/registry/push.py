"""Pushing: blobs that are missing first, several at once, then the manifest under each name.

In: blobs that can be read, manifests. Out: they are in the repository. What it has is skipped,
what another repository of the same registry has is mounted, and the manifest comes last, so that
nobody ever sees a name whose blobs are not all there (reliability guarantee R7).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from buildkit.oci.digest import Digest
from buildkit.progress.events import Emit, Moved
from buildkit.registry.client import Registry
from buildkit.registry.pull import AT_ONCE, first_failure
from buildkit.registry.repository import Repository
from buildkit.registry.uploads import Source
from runtime.values import NamedTuple


class Parcel(NamedTuple):
    """A blob to push. `open(offset)` reads it; `elsewhere`: a repository that may have it."""

    digest: Digest
    size: int
    open: Callable[[int], Iterator[bytes]]
    what: str
    elsewhere: str = ""


class Named(NamedTuple):
    """A manifest to push under `names` (tags); without any, under its digest."""

    data: bytes
    media_type: str
    names: tuple[str, ...]


def push(
    registry: Registry,
    repository: Repository,
    parcels: Sequence[Parcel],
    manifests: Sequence[Named],
    emit: Emit,
) -> None:
    """Push `parcels`, then `manifests` in their order. Raises RegistryError, StoreError."""
    distinct = list({parcel.digest: parcel for parcel in parcels}.values())
    if distinct:
        with ThreadPoolExecutor(min(len(distinct), AT_ONCE), "pybuild-push") as pool:
            works = [pool.submit(_push_one, repository, parcel, emit) for parcel in distinct]
            failure = first_failure(works, registry)
        if failure is not None:
            raise failure
    for manifest in manifests:
        for name in manifest.names or (Digest.of(manifest.data),):
            repository.put_manifest(name, manifest.data, manifest.media_type)


def _push_one(repository: Repository, parcel: Parcel, emit: Emit) -> None:
    if repository.has_blob(parcel.digest):
        return
    elsewhere = parcel.elsewhere
    if elsewhere == repository.place.repository:
        elsewhere = ""

    def opened(offset: int) -> Iterator[bytes]:
        done = offset
        for block in parcel.open(offset):
            yield block
            done += len(block)
            emit(Moved(parcel.what, done, parcel.size))

    source = Source(parcel.digest, parcel.size, opened, f"pushing {parcel.what}")
    repository.put_blob(source, mount_from=elsewhere)
