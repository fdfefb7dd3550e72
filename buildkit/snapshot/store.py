"""The seam to snapshots: what every store of them promises.

Rules for all: a layer is named by its diff ID and never changes; every method may be called from
any thread and by any number of processes on one root; a kill at any instruction leaves either
the whole layer or nothing that later calls take for one. Errors are `StoreError` (disk, damage),
`ImageError` (a foreign layer that is not what it says), `StepError` (a tree that no layer can
express).
"""

from __future__ import annotations

from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from buildkit.content.streams import Reader, Sink
    from buildkit.oci.digest import Digest, Fingerprint
    from buildkit.snapshot.piece_writer import NewItems
    from buildkit.snapshot.snapshot import Active, Change, Committed, Snapshot
    from buildkit.snapshot.watch import Watch

Candidates: TypeAlias = "Callable[[Fingerprint], Sequence[tuple[Digest, str]]]"
"""Earlier results on the same parent with this fingerprint: diff ID and RFC 3339 time of each."""


class SnapshotStore(Protocol):
    """Keeps layers, stacks them, takes new ones from directories and tars."""

    def has(self, diff_ids: Iterable[Digest]) -> bool:
        """Say whether all of `diff_ids` are here and to be trusted, or offered by a source.

        They are marked as in use by this command first, so that what was found stays. A layer
        that was not synced before the machine went down does not count.
        """
        ...

    def bring(self, diff_ids: Iterable[Digest]) -> None:
        """Fetch those of `diff_ids` that are only offered (`snapshot/source.py`).

        Whoever needs the files of a layer does so by itself. Raises LayerLostError for what
        cannot be had after all, StoreError for what nobody offers.
        """
        ...

    def lowers(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the layers' directories, top-most first, absolute: overlayfs lower directories."""
        ...

    def view(self, snapshot: Snapshot) -> AbstractContextManager[int]:
        """Give a descriptor of the merged tree, read-only, for use as `dir_fd`. Not for close."""
        ...

    def is_whole(self, snapshot: Snapshot) -> bool:
        """Say whether `view` has all the trees it needs; else a `partial_view` costs less."""
        ...

    def partial_view(
        self, snapshot: Snapshot, paths: Collection[bytes]
    ) -> AbstractContextManager[int]:
        """Give the same, but sure to be right only where `paths` lead; all else may be missing.

        `paths` are relative to the root, without links, `.` and `..`. Each of them and of the
        directories above it is there as in the merged tree, or is not there as it is not there.
        What a directory lists is no part of that.
        """
        ...

    @property
    def copies(self) -> bool:
        """Whether steps and containers write on a copy of all below, not on an overlay.

        Raises UsageError where the caller has asked for what is neither (`kind.py`).
        """
        ...

    def prepare(self, parent: Snapshot | None) -> Active:
        """Make the directories for a new layer on `parent`. End with `commit` or `discard`."""
        ...

    def commit(
        self,
        active: Active,
        *,
        candidates: Candidates | None = None,
        clamp: int | None = None,
        watch: Watch | None = None,
        since: int | None = None,
    ) -> Committed:
        """Turn the upper directory into a layer; `active` is used up, also on failure.

        What did not really change is dropped. If one of `candidates` has the same content in
        all but times, the earlier layer is taken (`reused`). `clamp`: no time in the layer is
        later than that (seconds since the epoch). `watch` sees all that goes into the layer.
        `since`: when the step began that wrote it, in ns since the epoch: older times than that,
        and later ones than now, were set by the step and have to be the same in the earlier layer.
        Nothing may be running or mounted on it.
        """
        ...

    def commit_items(
        self,
        active: Active,
        new: NewItems,
        *,
        candidates: Candidates | None = None,
        clamp: int | None = None,
        watch: Watch | None = None,
    ) -> Committed:
        """Make a layer of items that come with what they hold, and not of the upper directory.

        All else is as with `commit`; `clamp` only says which candidates will do. Raises what
        `new.contents` does, too.
        """
        ...

    def discard(self, active: Active) -> None:
        """Throw a layer being made away. May be called twice."""
        ...

    def unpack(self, layer: Reader, expected: Digest | None = None) -> Digest:
        """Take a layer from an uncompressed tar; return its diff ID.

        The stream is read to its end. Nothing is kept when it is damaged, hostile, or its
        sha256 is not `expected`.
        """
        ...

    def pack(self, diff_id: Digest, sink: Sink) -> int:
        """Write the layer's tar to `sink`, return its size; StoreError if it is not `diff_id`.

        Only for layers that this store packed (`is_packed`); a foreign layer's tar is its blob.
        """
        ...

    def is_packed(self, diff_id: Digest) -> bool:
        """Say whether `pack` can make the tar of this layer."""
        ...

    def timeless(self, diff_id: Digest) -> Digest | None:
        """Return a digest of all that is in the layer but times; None for a foreign layer.

        Two layers that have the same one are the same but for times, whoever made them.
        """
        ...

    def times(self, diff_id: Digest) -> Iterator[tuple[str, int]]:
        """Yield the paths of a layer that is here, with their times in ns since the epoch."""
        ...

    def changes(self, diff_id: Digest) -> tuple[Change, ...]:
        """Return what the layer holds; "added" stands for "changed" too, there being no parent."""
        ...

    def sync(self) -> None:
        """Make every layer and blob so far survive a power cut. Called before an image is named."""
        ...
