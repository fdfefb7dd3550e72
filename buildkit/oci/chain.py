"""Chain IDs: what a stack of layers is called.

In: diff IDs, bottom-most layer first. Out: chain IDs.
Source: image-spec config.md, "Layer ChainID".
"""

from __future__ import annotations

from buildkit.oci.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    """Return the chain ID of layer `diff_id` on the stack called `parent` (None: on nothing)."""
    return diff_id if parent is None else Digest.of(f"{parent} {diff_id}".encode())


def chain_ids(diff_ids: Iterable[Digest]) -> Iterator[Digest]:
    """Yield the chain ID of layers 0..n, for each n.

    Two images share chain IDs exactly as far up as they share layers, so a chain ID is
    the key under which an unpacked snapshot can be found again.
    """
    parent: Digest | None = None
    for diff_id in diff_ids:
        parent = chain_id(parent, diff_id)
        yield parent
