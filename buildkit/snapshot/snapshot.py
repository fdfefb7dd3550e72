"""A snapshot and what is about it, as values.

A snapshot is the tuple of its layers' diff IDs and nothing else: layers are kept by diff ID, so
stacks share them and a snapshot needs no record of its own. "No file system" (scratch) is None.
"""

from __future__ import annotations

from buildkit.oci.chain import chain_id
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self, TypeAlias

    from buildkit.oci.digest import Digest, Fingerprint


ChangeKind: TypeAlias = Literal["added", "changed", "deleted", "opaque"]


class Snapshot(NamedTuple):
    """An immutable tree. `diff_ids` bottom-most first, never empty; `chain` follows from them."""

    chain: Digest
    diff_ids: tuple[Digest, ...]

    @classmethod
    def on(cls, parent: Snapshot | None, diff_id: Digest) -> Self:
        """Return `parent` with one more layer."""
        if parent is None:
            return cls(diff_id, (diff_id,))
        return cls(chain_id(parent.chain, diff_id), (*parent.diff_ids, diff_id))

    @classmethod
    def of(cls, diff_ids: Iterable[Digest]) -> Snapshot | None:
        """Return the stack of `diff_ids`, None when there are none."""
        snapshot: Snapshot | None = None
        for diff_id in diff_ids:
            snapshot = cls.on(snapshot, diff_id)
        return snapshot


class Active(NamedTuple):
    """A tree being made: an overlay of `upper` on the parent's layers; below the root's `tmp`.

    `upper` has the attributes of the parent's root directory already. `work` is empty and on
    the same file system. `directory` holds both; what else is put there is thrown away.
    """

    parent: Snapshot | None
    directory: str
    upper: str
    work: str


class Change(NamedTuple):
    """One line of a layer's listing.

    `path` has no leading slash (surrogateescape where it is not UTF-8; empty for the root);
    `size` counts bytes of regular files. "opaque": the directory hides what the parent had in it.
    """

    path: str
    kind: ChangeKind
    size: int


class Committed(NamedTuple):
    """What became of an `Active`.

    `created` (RFC 3339) is that of the earlier result when `reused`, else now. `size` counts the
    bytes of the layer's tar. `changes` are in the order of the tar.
    """

    snapshot: Snapshot
    diff_id: Digest
    created: str
    reused: bool
    fingerprint: Fingerprint
    size: int
    changes: tuple[Change, ...]
