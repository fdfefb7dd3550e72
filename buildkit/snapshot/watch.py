"""Who sees what goes into a new layer: the search for values of secrets, for one."""

from __future__ import annotations

from buildkit.tree.entry import Entry
from runtime.typed import Protocol


class Watch(Protocol):
    """Sees what goes into a new layer, as it is packed; raises to have nothing of it kept."""

    def entry(self, entry: Entry) -> None:
        """Take the next entry; its content, if it has any, follows."""
        ...

    def content(self, data: bytes, /) -> None:
        """Take the next bytes of the file that was the last entry, in order."""
        ...
