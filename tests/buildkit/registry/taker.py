"""A `LayerTaker` that keeps layers in memory and checks what the real one checks."""

import threading

from buildkit.content.streams import Reader, VerifyingReader
from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest


class MemoryTaker:
    """Layers by diff ID; plain tars only."""

    def __init__(self) -> None:
        self.layers: dict[Digest, bytes] = {}
        self._mutex = threading.Lock()

    def has(self, diff_id: Digest, layer: Descriptor) -> bool:
        """See `LayerTaker`."""
        return diff_id in self.layers

    def take(self, source: Reader, diff_id: Digest, layer: Descriptor, what: str) -> None:
        """See `LayerTaker`."""
        checked = VerifyingReader(source, expected=layer.digest, size=layer.size, what=what)
        parts = []
        while data := checked.read(1 << 16):
            parts.append(data)
        whole = b"".join(parts)
        if Digest.of(whole) != diff_id:
            raise ImageError(f"{what} is another layer")
        with self._mutex:
            self.layers[diff_id] = whole
