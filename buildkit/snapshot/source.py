"""Layers that are not here and can be had: the seam to whoever fetches them.

A snapshot store that was given a `LayerSource` counts what that offers as its own, and asks for it
when somebody needs the files. So a build that finds its last step in a cache elsewhere fetches
nothing of what lies before it.
"""

from __future__ import annotations

from buildkit.errors import StoreError
from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.oci.digest import Digest


class LayerLostError(StoreError):
    """A layer that was offered cannot be had; it is not offered any more.

    What was built on its being there has to be looked up again.
    """


class LayerSource(Protocol):
    """Layers by diff ID. Any thread may use it."""

    def offers(self, diff_id: Digest) -> bool:
        """Say whether the layer can be had, as far as anybody knows. Asks nobody."""
        ...

    def fetch(self, diff_ids: Sequence[Digest]) -> None:
        """Bring layers, all of which were offered, into the store; several at once.

        A layer that is on its way for another thread is waited for. Verified: a layer is what its
        diff ID says. Raises LayerLostError, Cancelled, StoreError.
        """
        ...
